import { own } from "./own.ts";

export const schemas = `
  SELECT 'schema' AS kind, quote_ident(nspname) AS identity, 'CREATE SCHEMA ' || quote_ident(nspname) || ';' AS definition
    FROM pg_namespace AS n
   WHERE nspname !~ '^pg_' AND nspname NOT IN ('information_schema', 'ops')
     AND NOT EXISTS (SELECT FROM pg_depend WHERE classid = 'pg_namespace'::regclass AND objid = n.oid AND deptype = 'e')`;

/** Members of an extension are not looked at: its name and version stand for them. */
export const extensions = `
  SELECT 'extension' AS kind, quote_ident(extname) AS identity,
         format('CREATE EXTENSION %I WITH SCHEMA %I VERSION %L;', extname, nspname, extversion) AS definition
    FROM pg_extension AS e JOIN pg_namespace AS n ON n.oid = extnamespace
   WHERE e.oid >= 16384`;

export const languages = `
  SELECT 'language' AS kind, quote_ident(lanname) AS identity,
         'CREATE ' || CASE WHEN lanpltrusted THEN 'TRUSTED ' ELSE '' END || 'LANGUAGE ' || quote_ident(lanname)
         || ' HANDLER ' || lanplcallfoid::regproc
         || CASE laninline WHEN 0 THEN '' ELSE ' INLINE ' || laninline::regproc END
         || CASE lanvalidator WHEN 0 THEN '' ELSE ' VALIDATOR ' || lanvalidator::regproc END || ';' AS definition
    FROM pg_language AS x WHERE ${own("pg_language", "x")}`;
