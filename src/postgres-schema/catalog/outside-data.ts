import { foreignOptions, own } from "./own.ts";

export const foreignDataWrappers = `
  SELECT 'foreign-data wrapper' AS kind, quote_ident(fdwname) AS identity,
         'CREATE FOREIGN DATA WRAPPER ' || quote_ident(fdwname)
         || CASE fdwhandler WHEN 0 THEN '' ELSE ' HANDLER ' || fdwhandler::regproc END
         || CASE fdwvalidator WHEN 0 THEN '' ELSE ' VALIDATOR ' || fdwvalidator::regproc END || ${foreignOptions("fdwoptions")} || ';' AS definition
    FROM pg_foreign_data_wrapper AS x WHERE ${own("pg_foreign_data_wrapper", "x")}`;

export const servers = `
  SELECT 'server' AS kind, quote_ident(srvname) AS identity,
         'CREATE SERVER ' || quote_ident(srvname) || coalesce(' TYPE ' || quote_literal(srvtype), '')
         || coalesce(' VERSION ' || quote_literal(srvversion), '') || ' FOREIGN DATA WRAPPER ' || quote_ident(fdwname)
         || ${foreignOptions("srvoptions")} || ';' AS definition
    FROM pg_foreign_server AS x JOIN pg_foreign_data_wrapper AS w ON w.oid = srvfdw WHERE ${own("pg_foreign_server", "x")}`;

/** Their options hold passwords and are never read. */
export const userMappings = `
  SELECT 'user mapping' AS kind, format('FOR %s SERVER %I', CASE umuser WHEN 0 THEN 'PUBLIC' ELSE quote_ident(usename) END, srvname) AS identity,
         format('CREATE USER MAPPING FOR %s SERVER %I;', CASE umuser WHEN 0 THEN 'PUBLIC' ELSE quote_ident(usename) END, srvname) AS definition
    FROM pg_user_mappings`;

/** The rows and columns that a publication leaves out came with PostgreSQL 15, as did publications of whole schemas. */
export function publications(serverVersion: number): string {
  const filters = `
      || coalesce((SELECT ' (' || string_agg(quote_ident(attname), ', ' ORDER BY attnum) || ')' FROM pg_attribute
                    WHERE attrelid = prrelid AND attnum = ANY (prattrs)), '')
      || coalesce(' WHERE ' || pg_get_expr(prqual, prrelid), '')`;
  const publishedTables = `(
    SELECT string_agg('TABLE ' || prrelid::regclass ${serverVersion < 150000 ? "" : filters}, ', '
                      ORDER BY prrelid::regclass::text COLLATE "C")
      FROM pg_publication_rel WHERE prpubid = p.oid)`;
  const publishedSchemas = `(
    SELECT string_agg('TABLES IN SCHEMA ' || quote_ident(nspname), ', ' ORDER BY nspname)
      FROM pg_publication_namespace JOIN pg_namespace AS n ON n.oid = pnnspid WHERE pnpubid = p.oid)`;
  return `
  SELECT 'publication' AS kind, quote_ident(pubname) AS identity,
         'CREATE PUBLICATION ' || quote_ident(pubname)
         || CASE WHEN puballtables THEN ' FOR ALL TABLES'
                 ELSE coalesce(' FOR ' || nullif(concat_ws(', ', ${publishedTables}, ${serverVersion < 150000 ? "NULL" : publishedSchemas}), ''), '') END
         || ' WITH (publish = ' || quote_literal(concat_ws(', ', CASE WHEN pubinsert THEN 'insert' END, CASE WHEN pubupdate THEN 'update' END,
                                         CASE WHEN pubdelete THEN 'delete' END, CASE WHEN pubtruncate THEN 'truncate' END))
         || CASE WHEN pubviaroot THEN ', publish_via_partition_root' ELSE '' END || ');' AS definition
    FROM pg_publication AS p WHERE ${own("pg_publication", "p")}`;
}

/** Where it connects to holds a password and is never read. */
export const subscriptions = `
  SELECT 'subscription' AS kind, quote_ident(subname) AS identity,
         'CREATE SUBSCRIPTION ' || quote_ident(subname) || ' PUBLICATION '
         || (SELECT string_agg(quote_ident(each), ', ' ORDER BY each) FROM unnest(subpublications) AS each) || ';' AS definition
    FROM pg_subscription WHERE subdbid = (SELECT oid FROM pg_database WHERE datname = current_database())`;
