import type { DatabaseTarget } from "../config/environment.ts";
import type { Archive } from "./archive.ts";
import { pitrOf } from "./archive-stores.ts";
import { PgBackRestArchive } from "./pgbackrest-archive.ts";
import { StoreArchive } from "./store-archive.ts";

/** @param store default: the first one of the database's pitr settings. Throws `E_TARGET`. */
export async function openArchive(
  database: DatabaseTarget,
  store: string | undefined,
  signal: AbortSignal,
): Promise<Archive> {
  const pitr = pitrOf(database);
  return pitr.engine === "ops"
    ? new StoreArchive(database, store)
    : PgBackRestArchive.open(database.name, pitr, store, signal);
}
