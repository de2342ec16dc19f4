/**
 * Whatever a comment or label can hang on, named by PostgreSQL itself. Those of roles, databases and tablespaces belong to
 * the whole cluster and are left out, as are large objects, which are data.
 */
const annotation = (kind: string, table: string, statement: string) => `
  SELECT '${kind}' AS kind, object AS identity, ${statement} AS definition
    FROM (SELECT x.*, CASE WHEN x.classoid = 'pg_class'::regclass AND x.objsubid > 0 THEN 'column' WHEN o.type = 'table constraint' THEN 'constraint' ELSE o.type END
                      || ' ' || o.identity AS object, o.schema, o.identity
            FROM ${table} AS x, LATERAL pg_identify_object(x.classoid, x.objoid, x.objsubid) AS o
           WHERE x.classoid <> 'pg_largeobject'::regclass
             AND (x.objoid >= 16384 OR x.classoid = 'pg_namespace'::regclass AND x.objoid = 'public'::regnamespace)
             AND NOT EXISTS (SELECT FROM pg_depend WHERE classid = x.classoid AND objid = x.objoid AND deptype = 'e')) AS annotated
   WHERE schema IS DISTINCT FROM 'ops' AND schema IS DISTINCT FROM 'pg_toast' AND identity !~ '(^| on )ops(\\.|$)'`;

export const comments = annotation(
  "comment",
  "pg_description",
  "'COMMENT ON ' || object || ' IS ' || quote_literal(description) || ';'",
);

export const securityLabels = annotation(
  "security label",
  "pg_seclabel",
  "'SECURITY LABEL FOR ' || quote_ident(provider) || ' ON ' || object || ' IS ' || quote_literal(label) || ';'",
);
