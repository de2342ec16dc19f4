import type { DatabaseTarget } from "../config/environment.ts";
import type { Archive } from "./archive.ts";
import { pitrOf } from "./archive-stores.ts";
import { JoinedArchive } from "./joined-archive.ts";
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

/**
 * What a restore reads: all stores together.
 *
 * @param stores names with commas between them; default: all of the database's pitr settings. Throws `E_TARGET`.
 */
export async function openForRestore(
  database: DatabaseTarget,
  stores: string | undefined,
  signal: AbortSignal,
): Promise<Omit<Archive, "list">> {
  const pitr = pitrOf(database);
  return pitr.engine === "ops"
    ? new JoinedArchive(database, stores?.split(","))
    : PgBackRestArchive.open(database.name, pitr, stores, signal);
}
