import { internal, notOfExtension, own, ownInSchema, visibleSchema } from "./own.ts";

/** Everything that has an owner and privileges: (oid, label for GRANT, owner, privileges, those it was born with). */
const owned = `
  SELECT CASE c.relkind WHEN 'S' THEN 'SEQUENCE ' ELSE 'TABLE ' END || c.oid::regclass AS label,
         CASE c.relkind WHEN 'S' THEN 'SEQUENCE ' WHEN 'v' THEN 'VIEW ' WHEN 'm' THEN 'MATERIALIZED VIEW '
                        WHEN 'f' THEN 'FOREIGN TABLE ' ELSE 'TABLE ' END || c.oid::regclass AS owned_label,
         c.relowner AS owner, c.relacl AS acl, acldefault(CASE c.relkind WHEN 'S' THEN 's'::"char" ELSE 'r' END, c.relowner) AS born
    FROM pg_class AS c
   WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S') AND ${ownInSchema("pg_class", "c", "relnamespace")}
  UNION ALL
  SELECT 'SCHEMA ' || quote_ident(nspname), 'SCHEMA ' || quote_ident(nspname), nspowner, nspacl,
         coalesce((SELECT initprivs FROM pg_init_privs WHERE classoid = 'pg_namespace'::regclass AND objoid = n.oid),
                  acldefault('n', nspowner))
    FROM pg_namespace AS n
   WHERE nspname !~ '^pg_' AND nspname NOT IN ('information_schema', 'ops') AND ${notOfExtension("pg_namespace", "n")}
  UNION ALL
  SELECT kind || p.oid::regprocedure, kind || p.oid::regprocedure, proowner, proacl, acldefault('f', proowner)
    FROM pg_proc AS p, LATERAL (SELECT CASE prokind WHEN 'p' THEN 'PROCEDURE ' WHEN 'a' THEN 'AGGREGATE ' ELSE 'FUNCTION ' END AS kind) AS k
   WHERE ${ownInSchema("pg_proc", "p", "pronamespace")} AND NOT ${internal("pg_proc", "p")}
  UNION ALL
  SELECT 'TYPE ' || format_type(t.oid, NULL), 'TYPE ' || format_type(t.oid, NULL), typowner, typacl, acldefault('T', typowner)
    FROM pg_type AS t
   WHERE ${ownInSchema("pg_type", "t", "typnamespace")} AND t.typtype <> 'm' AND t.typelem = 0
     AND (t.typrelid = 0 OR EXISTS (SELECT FROM pg_class WHERE oid = t.typrelid AND relkind = 'c'))
  UNION ALL
  SELECT 'LANGUAGE ' || quote_ident(lanname), 'LANGUAGE ' || quote_ident(lanname), lanowner, lanacl, acldefault('l', lanowner)
    FROM pg_language AS l WHERE ${own("pg_language", "l")}
  UNION ALL
  SELECT 'FOREIGN DATA WRAPPER ' || quote_ident(fdwname), 'FOREIGN DATA WRAPPER ' || quote_ident(fdwname), fdwowner, fdwacl, acldefault('F', fdwowner)
    FROM pg_foreign_data_wrapper AS w WHERE ${own("pg_foreign_data_wrapper", "w")}
  UNION ALL
  SELECT 'FOREIGN SERVER ' || quote_ident(srvname), 'SERVER ' || quote_ident(srvname), srvowner, srvacl, acldefault('S', srvowner)
    FROM pg_foreign_server AS s WHERE ${own("pg_foreign_server", "s")}`;

/** Owners stand apart from definitions: a throw-away database has others. */
export const owners = `
  SELECT 'owner' AS kind, owned_label AS identity,
         'ALTER ' || owned_label || ' OWNER TO ' || quote_ident(pg_get_userbyid(owner)) || ';' AS definition
    FROM (${owned}) AS owned WHERE owned_label <> 'SCHEMA public'`;

const grantee = (oid: string, owner: string) =>
  `CASE ${oid} WHEN ${owner} THEN 'OWNER' WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(${oid})) END`;

const privilegesIn = (acl: string, owner: string) => `
  SELECT ${grantee("grantee", owner)} AS grantee,
         string_agg(privilege_type || CASE WHEN is_grantable THEN ' WITH GRANT OPTION' ELSE '' END, ', '
                    ORDER BY privilege_type) AS privileges
    FROM aclexplode(${acl}) GROUP BY 1`;

/** What each role has that differs from what it has on such an object when it is made. */
const changedPrivileges = (acl: string, born: string, owner: string) => `(
  SELECT grantee, now.privileges
    FROM (${privilegesIn(acl, owner)}) AS now
    FULL JOIN (${privilegesIn(born, owner)}) AS born USING (grantee)
   WHERE now.privileges IS DISTINCT FROM born.privileges)`;

const grantStatement = (label: string) => `
  CASE WHEN changed.privileges IS NULL THEN 'REVOKE ALL ON ' || ${label} || ' FROM ' || grantee || ';'
       ELSE 'GRANT ' || changed.privileges || ' ON ' || ${label} || ' TO ' || grantee || ';' END`;

/** One object for each role whose privileges are not those that such an object is born with. */
export const grants = `
  SELECT 'grant' AS kind, label || ' TO ' || grantee AS identity, ${grantStatement("label")} AS definition
    FROM (${owned}) AS owned, LATERAL ${changedPrivileges("coalesce(acl, born)", "born", "owner")} AS changed`;

export const columnGrants = `
  SELECT 'grant' AS kind, column_label || ' TO ' || grantee AS identity, ${grantStatement("column_label")} AS definition
    FROM pg_attribute AS a
    JOIN pg_class AS c ON c.oid = a.attrelid,
         LATERAL (SELECT 'COLUMN ' || c.oid::regclass || '.' || quote_ident(attname) AS column_label) AS label,
         LATERAL (${privilegesIn("a.attacl", "c.relowner")}) AS changed
   WHERE attacl IS NOT NULL AND attnum > 0 AND NOT attisdropped AND ${ownInSchema("pg_class", "c", "relnamespace")}`;

export const defaultPrivileges = `
  SELECT 'default privileges' AS kind, what || ' TO ' || grantee AS identity,
         'ALTER DEFAULT PRIVILEGES ' || CASE WHEN changed.privileges IS NULL THEN 'REVOKE ALL' ELSE 'GRANT ' || changed.privileges END
         || ' ON ' || what || CASE WHEN changed.privileges IS NULL THEN ' FROM ' ELSE ' TO ' END || grantee || ';' AS definition
    FROM pg_default_acl AS d,
         LATERAL (SELECT CASE defaclobjtype WHEN 'r' THEN 'TABLES' WHEN 'S' THEN 'SEQUENCES' WHEN 'f' THEN 'FUNCTIONS'
                                            WHEN 'T' THEN 'TYPES' WHEN 'n' THEN 'SCHEMAS' ELSE defaclobjtype::text END
                         || ' OF ' || quote_ident(pg_get_userbyid(defaclrole))
                         || coalesce(' IN SCHEMA ' || (SELECT quote_ident(nspname) FROM pg_namespace WHERE oid = defaclnamespace), '') AS what) AS w,
         LATERAL ${changedPrivileges(
           "defaclacl",
           "CASE WHEN defaclnamespace = 0 THEN acldefault(CASE defaclobjtype WHEN 'S' THEN 's'::\"char\" ELSE defaclobjtype END, defaclrole) END",
           "defaclrole",
         )} AS changed
   WHERE defaclnamespace = 0 OR ${visibleSchema("defaclnamespace")}`;
