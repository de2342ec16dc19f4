import { own, ownInSchema } from "./own.ts";

/** The table is a relation `c` that a person made. */
const ofOwnTable = `JOIN pg_class AS c ON c.oid = x.TABLE_COLUMN AND ${ownInSchema("pg_class", "c", "relnamespace")}`;
const joinTable = (column: string) => ofOwnTable.replace("TABLE_COLUMN", column);

/** The key of the relation that an object hangs on. */
const dependsOnRelation = `ARRAY[CASE c.relkind WHEN 'f' THEN 'foreign table ' WHEN 'v' THEN 'view ' WHEN 'm' THEN 'materialized view '
  ELSE 'table ' END || c.oid::regclass::text] AS "dependsOn"`;

/**
 * Those of tables; those of domains are a part of the domain. NOT NULL is a part of its column, and what a partition or a
 * child has only because its parent has it is a part of the parent.
 */
export const constraints = `
  SELECT 'constraint' AS kind, quote_ident(x.conname) || ' ON ' || c.oid::regclass AS identity,
         'ALTER TABLE ' || c.oid::regclass || ' ADD CONSTRAINT ' || quote_ident(x.conname) || ' ' || pg_get_constraintdef(x.oid)
         || coalesce((SELECT ' USING INDEX TABLESPACE ' || quote_ident(spcname) FROM pg_tablespace AS s
                        JOIN pg_class AS i ON i.reltablespace = s.oid WHERE i.oid = x.conindid AND x.contype IN ('p', 'u', 'x')), '')
         || ';'
         || CASE WHEN x.contype IN ('p', 'u', 'x') THEN coalesce((
              SELECT CASE WHEN i.indisclustered THEN E'\\nALTER TABLE ' || c.oid::regclass || ' CLUSTER ON ' || quote_ident(x.conname) || ';' ELSE '' END
                  || CASE WHEN i.indisreplident THEN E'\\nALTER TABLE ' || c.oid::regclass || ' REPLICA IDENTITY USING INDEX ' || quote_ident(x.conname) || ';' ELSE '' END
                FROM pg_index AS i WHERE i.indexrelid = x.conindid), '') ELSE '' END AS definition,
         ${dependsOnRelation}
    FROM pg_constraint AS x ${joinTable("conrelid")}
   WHERE x.contype IN ('c', 'f', 'p', 'u', 'x') AND (x.contype <> 'c' OR x.conislocal) AND (x.contype <> 'f' OR x.conparentid = 0)
     AND ${own("pg_constraint", "x")}`;

/** Those behind a constraint are that constraint. */
export const indexes = `
  SELECT 'index' AS kind, i.oid::regclass::text AS identity,
         pg_get_indexdef(i.oid)
         || coalesce((SELECT ' TABLESPACE ' || quote_ident(spcname) FROM pg_tablespace WHERE oid = i.reltablespace), '') || ';'
         || CASE WHEN NOT x.indisvalid AND i.relkind = 'i' THEN ' -- INVALID' ELSE '' END
         || coalesce((SELECT E'\\nALTER INDEX ' || inhparent::regclass || ' ATTACH PARTITION ' || i.oid::regclass || ';'
                        FROM pg_inherits WHERE inhrelid = i.oid), '')
         || CASE WHEN x.indisclustered THEN E'\\nALTER TABLE ' || c.oid::regclass || ' CLUSTER ON ' || quote_ident(i.relname) || ';' ELSE '' END
         || CASE WHEN x.indisreplident THEN E'\\nALTER TABLE ' || c.oid::regclass || ' REPLICA IDENTITY USING INDEX ' || quote_ident(i.relname) || ';' ELSE '' END
         || coalesce((SELECT string_agg(E'\\nALTER INDEX ' || i.oid::regclass || ' ALTER COLUMN ' || attnum || ' SET STATISTICS ' || attstattarget || ';', '' ORDER BY attnum)
                        FROM pg_attribute WHERE attrelid = i.oid AND attstattarget >= 0), '') AS definition,
         ${dependsOnRelation}
    FROM pg_index AS x ${joinTable("indrelid")}
    JOIN pg_class AS i ON i.oid = x.indexrelid
   WHERE NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = i.oid AND contype IN ('p', 'u', 'x'))`;

const enabled = (what: string, column: string, name: string) => `
  CASE ${column} WHEN 'O' THEN '' ELSE E'\\nALTER TABLE ' || c.oid::regclass
    || CASE ${column} WHEN 'D' THEN ' DISABLE' WHEN 'R' THEN ' ENABLE REPLICA' ELSE ' ENABLE ALWAYS' END
    || ' ${what} ' || quote_ident(${name}) || ';' END`;

/** Without those that a trigger of a partitioned table put on its partitions. */
export const triggers = `
  SELECT 'trigger' AS kind, quote_ident(x.tgname) || ' ON ' || c.oid::regclass AS identity,
         pg_get_triggerdef(x.oid) || ';' || ${enabled("TRIGGER", "x.tgenabled", "x.tgname")} AS definition,
         ${dependsOnRelation}
    FROM pg_trigger AS x ${joinTable("tgrelid")}
   WHERE NOT x.tgisinternal AND coalesce((to_jsonb(x) ->> 'tgparentid')::oid, 0) = 0`;

export const rules = `
  SELECT 'rule' AS kind, quote_ident(x.rulename) || ' ON ' || c.oid::regclass AS identity,
         pg_get_ruledef(x.oid) || ${enabled("RULE", "x.ev_enabled", "x.rulename")} AS definition,
         ${dependsOnRelation}
    FROM pg_rewrite AS x ${joinTable("ev_class")}
   WHERE x.rulename <> '_RETURN'`;

export const policies = `
  SELECT 'policy' AS kind, quote_ident(x.polname) || ' ON ' || c.oid::regclass AS identity,
         'CREATE POLICY ' || quote_ident(x.polname) || ' ON ' || c.oid::regclass
         || CASE WHEN x.polpermissive THEN '' ELSE ' AS RESTRICTIVE' END
         || CASE x.polcmd WHEN 'r' THEN ' FOR SELECT' WHEN 'a' THEN ' FOR INSERT' WHEN 'w' THEN ' FOR UPDATE' WHEN 'd' THEN ' FOR DELETE' ELSE '' END
         || ' TO ' || (SELECT string_agg(CASE role WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(role)) END, ', '
                                         ORDER BY role = 0 DESC, pg_get_userbyid(role) COLLATE "C") FROM unnest(x.polroles) AS role)
         || coalesce(' USING (' || pg_get_expr(x.polqual, x.polrelid) || ')', '')
         || coalesce(' WITH CHECK (' || pg_get_expr(x.polwithcheck, x.polrelid) || ')', '') || ';' AS definition,
         ${dependsOnRelation}
    FROM pg_policy AS x ${joinTable("polrelid")}`;

export const statistics = `
  SELECT 'statistics' AS kind, format('%I.%I', n.nspname, x.stxname) AS identity,
         pg_get_statisticsobjdef(x.oid) || ';'
         || CASE WHEN coalesce((to_jsonb(x) ->> 'stxstattarget')::int, -1) >= 0
                 THEN format(E'\\nALTER STATISTICS %I.%I SET STATISTICS %s;', n.nspname, x.stxname, to_jsonb(x) ->> 'stxstattarget')
                 ELSE '' END AS definition,
         ${dependsOnRelation}
    FROM pg_statistic_ext AS x ${joinTable("stxrelid")}
    JOIN pg_namespace AS n ON n.oid = x.stxnamespace`;
