import type { DatabaseTarget, OpsPitrTarget } from "../config/environment.ts";
import { OpsError, UsageError } from "../core/errors.ts";
import { openerFor, sealerFor } from "../crypto/encryption.ts";
import { openStore } from "../storage/open-store.ts";
import type { ArchiveStore } from "../wal-archive/archive-file.ts";
import { type ArchivedCluster, readCluster } from "../wal-archive/cluster.ts";
import type { ReadableStore } from "../wal-archive/read-file.ts";

/** Throws `E_TARGET` where the configuration does not say that ops archives the cluster of this database. */
export function pitrOf(database: DatabaseTarget): OpsPitrTarget {
  if (database.pitr?.engine === "ops") return database.pitr;
  if (database.pitr !== undefined) {
    throw new UsageError("E_TARGET", `The WAL of ${database.name} is archived by pgBackRest, not by ops`, {
      hint: `the server's own commands are pgbackrest archive-push and archive-get: ops pitr setup --database ${database.name}`,
    });
  }
  throw new UsageError("E_TARGET", `The database ${database.name} has no archive`, {
    hint: `add "pitr: { store: NAME }" under "databases: ${database.name}:" in .opsrc (docs/wal.md)`,
  });
}

/** The stores of an archive, ready to be written to. Each is encrypted for its own keys. */
export function archiveStores(pitr: OpsPitrTarget): Promise<ArchiveStore[]> {
  return Promise.all(
    pitr.stores.map(async (target) => ({
      name: target.name,
      store: openStore(target),
      sealer: await sealerFor(target),
    })),
  );
}

/**
 * The stores of an archive, ready to be read. Throws `E_IDENTITY` where the private key is not configured.
 *
 * @param names only these; throws `E_TARGET` where one of them is none of the archive's
 */
export function readableStores(pitr: OpsPitrTarget, names?: readonly string[]): Promise<ReadableStore[]> {
  const unknown = names?.find((name) => pitr.stores.every((each) => each.name !== name));
  if (unknown !== undefined) {
    throw new UsageError("E_TARGET", `The archive is not in a store "${unknown}"`, {
      hint: `it is in: ${pitr.stores.map((each) => each.name).join(", ")}`,
    });
  }
  const chosen = pitr.stores.filter((each) => names === undefined || names.includes(each.name));
  return Promise.all(
    chosen.map(async (target) => ({
      name: target.name,
      store: openStore(target),
      opener: await openerFor(target),
    })),
  );
}

/**
 * Whose archive it is, by the first store that tells: one that is away hides nothing. Undefined where nothing was archived
 * yet; throws the first failure where no store tells.
 */
export async function clusterOfAny(
  stores: readonly Pick<ReadableStore, "store">[],
  database: string,
): Promise<ArchivedCluster | undefined> {
  let failure: OpsError | undefined;
  for (const { store } of stores) {
    try {
      const found = await readCluster(store, database);
      if (found !== undefined) return found;
    } catch (error) {
      if (!(error instanceof OpsError)) throw error;
      failure ??= error;
    }
  }
  if (failure !== undefined) throw failure;
  return undefined;
}
