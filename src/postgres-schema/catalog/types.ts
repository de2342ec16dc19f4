import { ownInSchema } from "./own.ts";

const name = "format_type(t.oid, NULL)";

const enumType = `'CREATE TYPE ' || ${name} || ' AS ENUM ('
  || coalesce((SELECT string_agg(quote_literal(enumlabel), ', ' ORDER BY enumsortorder) FROM pg_enum WHERE enumtypid = t.oid), '') || ');'`;

const collation = (oid: string) =>
  `(SELECT format('%I.%I', nspname, collname) FROM pg_collation AS l JOIN pg_namespace AS n ON n.oid = collnamespace WHERE l.oid = ${oid})`;

const domain = `'CREATE DOMAIN ' || ${name} || ' AS ' || format_type(t.typbasetype, t.typtypmod)
  || CASE WHEN t.typcollation <> (SELECT typcollation FROM pg_type WHERE oid = t.typbasetype) THEN ' COLLATE ' || ${collation("t.typcollation")} ELSE '' END
  || coalesce(' DEFAULT ' || t.typdefault, '')
  || CASE WHEN t.typnotnull THEN ' NOT NULL' ELSE '' END
  || coalesce((SELECT string_agg(' CONSTRAINT ' || quote_ident(conname) || ' ' || pg_get_constraintdef(oid), '' ORDER BY conname)
                 FROM pg_constraint WHERE contypid = t.oid AND contype = 'c'), '') || ';'`;

const composite = `'CREATE TYPE ' || ${name} || ' AS ('
  || coalesce((SELECT string_agg(quote_ident(attname) || ' ' || format_type(atttypid, atttypmod)
                       || CASE WHEN attcollation <> (SELECT typcollation FROM pg_type WHERE oid = atttypid) THEN ' COLLATE ' || ${collation("attcollation")} ELSE '' END,
                       ', ' ORDER BY attnum)
                 FROM pg_attribute WHERE attrelid = t.typrelid AND attnum > 0 AND NOT attisdropped), '') || ');'`;

const range = `(SELECT 'CREATE TYPE ' || ${name} || ' AS RANGE (SUBTYPE = ' || format_type(rngsubtype, NULL)
  || (SELECT CASE WHEN opcdefault THEN '' ELSE ', SUBTYPE_OPCLASS = ' || format('%I.%I', nspname, opcname) END
        FROM pg_opclass AS o JOIN pg_namespace AS n ON n.oid = opcnamespace WHERE o.oid = rngsubopc)
  || CASE WHEN rngcollation <> 0 AND rngcollation <> (SELECT typcollation FROM pg_type WHERE oid = rngsubtype) THEN ', COLLATION = ' || ${collation("rngcollation")} ELSE '' END
  || CASE rngcanonical::oid WHEN 0 THEN '' ELSE ', CANONICAL = ' || rngcanonical END
  || CASE rngsubdiff::oid WHEN 0 THEN '' ELSE ', SUBTYPE_DIFF = ' || rngsubdiff END
  || coalesce(', MULTIRANGE_TYPE_NAME = ' || format_type((to_jsonb(r) ->> 'rngmultitypid')::oid, NULL), '') || ');'
  FROM pg_range AS r WHERE rngtypid = t.oid)`;

/** A base type: made with functions in C, which only a superuser can. */
const base = `CASE WHEN t.typisdefined THEN
  'CREATE TYPE ' || ${name} || ' (INPUT = ' || t.typinput || ', OUTPUT = ' || t.typoutput
  || CASE t.typreceive::oid WHEN 0 THEN '' ELSE ', RECEIVE = ' || t.typreceive END
  || CASE t.typsend::oid WHEN 0 THEN '' ELSE ', SEND = ' || t.typsend END
  || ', INTERNALLENGTH = ' || t.typlen || CASE WHEN t.typbyval THEN ', PASSEDBYVALUE' ELSE '' END
  || ', ALIGNMENT = ' || t.typalign::text || ', STORAGE = ' || t.typstorage::text || ', CATEGORY = ' || quote_literal(t.typcategory::text)
  || coalesce(', DEFAULT = ' || quote_literal(t.typdefault), '') || ');'
  ELSE 'CREATE TYPE ' || ${name} || ';' END`;

/** Without the types that come with a table, an array or a range. */
export const types = `
  SELECT 'type' AS kind, ${name} AS identity,
         CASE t.typtype WHEN 'e' THEN ${enumType} WHEN 'd' THEN ${domain} WHEN 'c' THEN ${composite} WHEN 'r' THEN ${range} ELSE ${base} END AS definition
    FROM pg_type AS t
   WHERE ${ownInSchema("pg_type", "t", "typnamespace")}
     AND (t.typtype IN ('e', 'd', 'r') OR t.typtype IN ('b', 'p') AND t.typelem = 0
          OR t.typtype = 'c' AND EXISTS (SELECT FROM pg_class WHERE oid = t.typrelid AND relkind = 'c'))`;

/** The provider's own version of a collation is left out: it differs between machines. */
export const collations = `
  SELECT 'collation' AS kind, format('%I.%I', nspname, collname) AS identity,
         format('CREATE COLLATION %I.%I (PROVIDER = %s', nspname, collname,
                CASE collprovider WHEN 'i' THEN 'icu' WHEN 'b' THEN 'builtin' ELSE 'libc' END)
         || coalesce(', LOCALE = ' || quote_literal(coalesce(to_jsonb(x) ->> 'colliculocale', to_jsonb(x) ->> 'colllocale')), '')
         || coalesce(', LC_COLLATE = ' || quote_literal(collcollate), '') || coalesce(', LC_CTYPE = ' || quote_literal(collctype), '')
         || CASE WHEN collisdeterministic THEN '' ELSE ', DETERMINISTIC = false' END
         || coalesce(', RULES = ' || quote_literal(to_jsonb(x) ->> 'collicurules'), '') || ');' AS definition
    FROM pg_collation AS x JOIN pg_namespace AS n ON n.oid = collnamespace
   WHERE ${ownInSchema("pg_collation", "x", "collnamespace")}`;
