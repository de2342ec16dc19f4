import { clause, foreignOptions, ownInSchema, sortedOptions } from "./own.ts";

const persistence = `CASE c.relpersistence WHEN 'u' THEN 'UNLOGGED ' ELSE '' END`;
const settings = clause(`'WITH (' || ${sortedOptions("c.reloptions")} || ')'`);
const tablespace = clause(
  `'TABLESPACE ' || (SELECT quote_ident(spcname) FROM pg_tablespace WHERE oid = c.reltablespace)`,
);
const parents = `(SELECT string_agg(inhparent::regclass::text, ', ' ORDER BY inhseqno) FROM pg_inherits WHERE inhrelid = c.oid)`;

/** Without the stamp that newer PostgreSQL (15.20, not 15.18) keeps there; its pg_dump leaves it out too. */
const ownAttributeOptions = `ARRAY(SELECT each FROM unnest(a.attoptions) AS each WHERE each NOT LIKE 'pg\\_attver=%')`;

/** Columns stand apart as objects of their own; `( … )` holds their place. */
export const tables = `
  SELECT CASE c.relkind WHEN 'f' THEN 'foreign table' ELSE 'table' END AS kind, c.oid::regclass::text AS identity,
         'CREATE ' || ${persistence} || CASE c.relkind WHEN 'f' THEN 'FOREIGN ' ELSE '' END || 'TABLE ' || c.oid::regclass::text
         || CASE WHEN c.relispartition THEN ' PARTITION OF ' || ${parents} || ' ' || pg_get_expr(c.relpartbound, c.oid)
                 WHEN c.reloftype <> 0 THEN ' OF ' || format_type(c.reloftype, NULL)
                 ELSE ' ( … )' || coalesce(' INHERITS (' || ${parents} || ')', '') END
         || CASE c.relkind WHEN 'p' THEN ' PARTITION BY ' || pg_get_partkeydef(c.oid) ELSE '' END
         || CASE WHEN am.amname <> 'heap' THEN ' USING ' || quote_ident(am.amname) ELSE '' END
         || coalesce((SELECT ' SERVER ' || quote_ident(srvname)
                             || ${foreignOptions("ftoptions")}
                        FROM pg_foreign_table JOIN pg_foreign_server AS s ON s.oid = ftserver WHERE ftrelid = c.oid), '')
         || ${settings} || ${tablespace} || ';'
         || CASE WHEN c.relrowsecurity THEN E'\\nALTER TABLE ' || c.oid::regclass || ' ENABLE ROW LEVEL SECURITY;' ELSE '' END
         || CASE WHEN c.relforcerowsecurity THEN E'\\nALTER TABLE ' || c.oid::regclass || ' FORCE ROW LEVEL SECURITY;' ELSE '' END
         || CASE CASE c.relkind WHEN 'f' THEN 'd' ELSE c.relreplident END WHEN 'n' THEN E'\\nALTER TABLE ' || c.oid::regclass || ' REPLICA IDENTITY NOTHING;'
                                WHEN 'f' THEN E'\\nALTER TABLE ' || c.oid::regclass || ' REPLICA IDENTITY FULL;' ELSE '' END
         AS definition,
         CASE WHEN c.relispartition THEN ARRAY(SELECT 'table ' || inhparent::regclass FROM pg_inherits WHERE inhrelid = c.oid)
         END AS "dependsOn"
    FROM pg_class AS c LEFT JOIN pg_am AS am ON am.oid = c.relam
   WHERE c.relkind IN ('r', 'p', 'f') AND ${ownInSchema("pg_class", "c", "relnamespace")}`;

/** The options of a sequence, in the order of CREATE SEQUENCE. */
const sequenceOptions = `
  'AS ' || format_type(s.seqtypid, NULL) || ' START ' || s.seqstart || ' INCREMENT ' || s.seqincrement || ' MINVALUE '
  || s.seqmin || ' MAXVALUE ' || s.seqmax || ' CACHE ' || s.seqcache || CASE WHEN s.seqcycle THEN ' CYCLE' ELSE '' END`;

const identityColumn = `
  ' GENERATED ' || CASE a.attidentity WHEN 'a' THEN 'ALWAYS' ELSE 'BY DEFAULT' END || ' AS IDENTITY'
  || coalesce((SELECT ' (SEQUENCE NAME ' || d.objid::regclass || ' ' || ${sequenceOptions} || ')'
                 FROM pg_depend AS d JOIN pg_sequence AS s ON s.seqrelid = d.objid
                WHERE d.refclassid = 'pg_class'::regclass AND d.refobjid = a.attrelid AND d.refobjsubid = a.attnum
                  AND d.classid = 'pg_class'::regclass AND d.deptype = 'i'), '')`;

/** What is set beside a column's type. Columns of views are objects only where they have such a thing. */
const columnExtras = `
  CASE WHEN a.attcollation <> t.typcollation
       THEN ' COLLATE ' || (SELECT format('%I.%I', nspname, collname) FROM pg_collation AS l
                              JOIN pg_namespace AS n ON n.oid = collnamespace WHERE l.oid = a.attcollation) ELSE '' END
  || CASE WHEN a.attstorage <> t.typstorage
          THEN ' STORAGE ' || CASE a.attstorage WHEN 'p' THEN 'PLAIN' WHEN 'e' THEN 'EXTERNAL' WHEN 'm' THEN 'MAIN' ELSE 'EXTENDED' END
          ELSE '' END
  || CASE to_jsonb(a) ->> 'attcompression' WHEN 'p' THEN ' COMPRESSION pglz' WHEN 'l' THEN ' COMPRESSION lz4' ELSE '' END
  || CASE WHEN a.attidentity <> '' THEN ${identityColumn}
          WHEN a.attgenerated = 's' THEN ' GENERATED ALWAYS AS (' || pg_get_expr(d.adbin, d.adrelid) || ') STORED'
          WHEN a.attgenerated = 'v' THEN ' GENERATED ALWAYS AS (' || pg_get_expr(d.adbin, d.adrelid) || ') VIRTUAL'
          WHEN a.atthasdef THEN ' DEFAULT ' || pg_get_expr(d.adbin, d.adrelid) ELSE '' END
  || CASE WHEN a.attnotnull THEN ' NOT NULL' ELSE '' END
  || CASE WHEN coalesce(a.attstattarget, -1) >= 0 THEN ' STATISTICS ' || a.attstattarget ELSE '' END
  || coalesce(' SET (' || ${sortedOptions(ownAttributeOptions)} || ')', '')
  || ${foreignOptions("a.attfdwoptions")}`;

export const columns = `
  SELECT 'column' AS kind, c.oid::regclass::text || '.' || quote_ident(a.attname) AS identity,
         quote_ident(a.attname) || ' ' || format_type(a.atttypid, a.atttypmod) || ${columnExtras} AS definition,
         ARRAY[CASE c.relkind WHEN 'f' THEN 'foreign table ' WHEN 'v' THEN 'view ' WHEN 'm' THEN 'materialized view ' ELSE 'table ' END
               || c.oid::regclass::text] AS "dependsOn",
         (row_number() OVER (PARTITION BY a.attrelid ORDER BY a.attnum))::int AS position
    FROM pg_attribute AS a
    JOIN pg_class AS c ON c.oid = a.attrelid
    JOIN pg_type AS t ON t.oid = a.atttypid
    LEFT JOIN pg_attrdef AS d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
   WHERE a.attnum > 0 AND NOT a.attisdropped
     AND (c.relkind IN ('r', 'p', 'f') OR c.relkind IN ('v', 'm') AND (a.atthasdef OR ${columnExtras} <> ''))
     AND ${ownInSchema("pg_class", "c", "relnamespace")}`;

/** Without those of identity columns: their options are the column's. */
export const sequences = `
  SELECT 'sequence' AS kind, c.oid::regclass::text AS identity,
         'CREATE ' || ${persistence} || 'SEQUENCE ' || c.oid::regclass || ' ' || ${sequenceOptions} || ';'
         || coalesce(E'\\nALTER SEQUENCE ' || c.oid::regclass || ' OWNED BY ' || o.column_name || ';', '') AS definition,
         CASE WHEN o.column_name IS NOT NULL THEN ARRAY['column ' || o.column_name] END AS "dependsOn"
    FROM pg_class AS c
    JOIN pg_sequence AS s ON s.seqrelid = c.oid
    LEFT JOIN LATERAL (
      SELECT d.deptype, d.refobjid::regclass::text || '.' || quote_ident(a.attname) AS column_name
        FROM pg_depend AS d JOIN pg_attribute AS a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
       WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.refclassid = 'pg_class'::regclass
         AND d.deptype IN ('a', 'i')) AS o ON true
   WHERE o.deptype IS DISTINCT FROM 'i' AND ${ownInSchema("pg_class", "c", "relnamespace")}`;

/** Whether a materialized view has been filled is data. */
export const views = `
  SELECT CASE c.relkind WHEN 'v' THEN 'view' ELSE 'materialized view' END AS kind, c.oid::regclass::text AS identity,
         'CREATE ' || CASE c.relkind WHEN 'v' THEN 'VIEW ' ELSE 'MATERIALIZED VIEW ' END || c.oid::regclass
         || CASE WHEN am.amname <> 'heap' THEN ' USING ' || quote_ident(am.amname) ELSE '' END
         || ${settings} || ${tablespace}
         || E' AS\\n' || rtrim(pg_get_viewdef(c.oid), ';')
         || ';' AS definition
    FROM pg_class AS c LEFT JOIN pg_am AS am ON am.oid = c.relam
   WHERE c.relkind IN ('v', 'm') AND ${ownInSchema("pg_class", "c", "relnamespace")}`;
