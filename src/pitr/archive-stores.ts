import type { NamedStore } from "../archive/fan-out.ts";
import type { DatabaseTarget, PitrTarget, StoreTarget } from "../config/environment.ts";
import { UsageError } from "../core/errors.ts";
import { openStore } from "../storage/open-store.ts";
import { findBaseManifest } from "../wal-archive/base-catalog.ts";
import type { SealedBaseManifest } from "../wal-archive/base-manifest.ts";

/** Where a database's base backups and WAL go. Throws `E_TARGET` where `pitr` is not configured. */
export function archiveStores(database: DatabaseTarget): readonly StoreTarget[] {
  const pitr = pitrOf(database);
  if (pitr.engine === "ops") return pitr.stores;
  throw new UsageError("E_TARGET", `The archive of ${database.name} is pgBackRest's, not in stores of ops`, {
    hint: "what this command does for the engine ops, pgbackrest does itself (docs/pitr.md)",
  });
}

/** Throws `E_TARGET` where `pitr` is not configured. */
export function pitrOf(database: DatabaseTarget): PitrTarget {
  if (database.pitr !== undefined) return database.pitr;
  throw new UsageError(
    "E_TARGET",
    `The database ${database.name} has no archive for point-in-time recovery`,
    {
      hint: `add "pitr: { store: NAME }" to databases.${database.name} in .opsrc (docs/pitr.md)`,
    },
  );
}

/** One of them: the named one, or the first. Throws `E_TARGET`. */
export function archiveStore(database: DatabaseTarget, name: string | undefined): StoreTarget {
  const all = archiveStores(database);
  const found = name === undefined ? all[0] : all.find((each) => each.name === name);
  if (found === undefined) {
    throw new UsageError("E_TARGET", `The archive of ${database.name} is not in a store "${name}"`, {
      hint: `it is in: ${all.map((each) => each.name).join(", ")}`,
    });
  }
  return found;
}

export interface FoundBase {
  readonly complete: readonly (NamedStore & { readonly sealed: SealedBaseManifest })[];
  readonly missing: readonly NamedStore[];
}

/** Which of the stores have the base backup. Throws what a store that cannot be asked throws. */
export async function whereIsBase(
  targets: readonly StoreTarget[],
  database: string,
  id: string,
): Promise<FoundBase> {
  const complete: (NamedStore & { sealed: SealedBaseManifest })[] = [];
  const missing: NamedStore[] = [];
  for (const target of targets) {
    const each = { name: target.name, store: openStore(target) };
    const sealed = await findBaseManifest(each.store, database, id);
    if (sealed === undefined) missing.push(each);
    else complete.push({ ...each, sealed });
  }
  return { complete, missing };
}
