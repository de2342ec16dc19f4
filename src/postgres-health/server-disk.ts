import { join } from "node:path";
import { OpsError } from "../core/errors.ts";
import type { Catalog } from "./catalog.ts";
import { isDataFolderOf } from "./data-folder.ts";

/** Where a server keeps its files. */
export interface ServerFiles {
  readonly dataDirectory: string;
  /** pg_wal, the data folder and the tablespaces outside it. */
  readonly folders: readonly string[];
  readonly walBytes: number;
  /** The log that slots and archiving need not keep is removed above this size (max_wal_size). */
  readonly maxWalBytes: number;
  readonly databasesBytes: number;
  /** Whether the folders are on this machine, and why not. */
  readonly here: boolean;
}

interface Row {
  readonly systemIdentifier: string;
  readonly dataDirectory: string | null;
  readonly tablespaces: readonly string[];
  readonly walBytes: number | null;
  readonly maxWalBytes: number;
  readonly databasesBytes: number;
}

// What a role may not call is not called: the CASE keeps it from failing the whole statement.
const statement = `
SELECT (SELECT system_identifier::text FROM pg_control_system()) AS "systemIdentifier",
       CASE WHEN pg_has_role('pg_read_all_settings', 'USAGE') THEN current_setting('data_directory') END AS "dataDirectory",
       ARRAY(SELECT pg_tablespace_location(oid) FROM pg_tablespace WHERE pg_tablespace_location(oid) <> '') AS tablespaces,
       CASE WHEN has_function_privilege('pg_ls_waldir()', 'EXECUTE')
            THEN (SELECT coalesce(sum(size), 0)::float8 FROM pg_ls_waldir()) END AS "walBytes",
       pg_size_bytes(current_setting('max_wal_size'))::float8 AS "maxWalBytes",
       (SELECT coalesce(sum(pg_database_size(oid)), 0)::float8 FROM pg_database
         WHERE has_database_privilege(oid, 'CONNECT') OR pg_has_role('pg_read_all_stats', 'USAGE')) AS "databasesBytes"`;

/** Throws `E_STATISTICS_HIDDEN`. */
export async function readServerFiles(catalog: Catalog): Promise<ServerFiles> {
  const { rows, asked } = await catalog.ask<Row>(statement);
  const [row] = rows;
  if (row === undefined) throw new Error("a query without FROM answers with no row");
  const { systemIdentifier, dataDirectory, tablespaces, walBytes, maxWalBytes, databasesBytes } = row;
  if (dataDirectory === null || walBytes === null) {
    throw new OpsError(
      "E_STATISTICS_HIDDEN",
      `The role ${asked.role} may not see where the server keeps its files; let it: GRANT pg_monitor TO ${asked.role}`,
      { retryable: false },
    );
  }
  return {
    dataDirectory,
    folders: [dataDirectory, join(dataDirectory, "pg_wal"), ...tablespaces],
    walBytes,
    maxWalBytes,
    databasesBytes,
    here: await isHere(dataDirectory, systemIdentifier),
  };
}

async function isHere(dataDirectory: string, systemIdentifier: string): Promise<boolean> {
  try {
    return await isDataFolderOf(dataDirectory, systemIdentifier);
  } catch {
    // On another machine, or not for us to look into: whoever needs the disk says so.
    return false;
  }
}
