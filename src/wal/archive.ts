import type { DatabaseTarget, PitrTarget } from "../config/environment.ts";
import { UsageError } from "../core/errors.ts";
import { openerFor, sealerFor } from "../crypto/encryption.ts";
import { openStore } from "../storage/open-store.ts";
import type { ArchiveStore } from "../wal-archive/archive-file.ts";
import type { ReadableStore } from "../wal-archive/read-file.ts";

/** Throws `E_TARGET` where the configuration does not say that the cluster of this database is archived. */
export function pitrOf(database: DatabaseTarget): PitrTarget {
  if (database.pitr !== undefined) return database.pitr;
  throw new UsageError("E_TARGET", `The database ${database.name} has no archive`, {
    hint: `add "pitr: { store: NAME }" under "databases: ${database.name}:" in .opsrc (docs/wal.md)`,
  });
}

/** The stores of an archive, ready to be written to. Each is encrypted for its own keys. */
export function archiveStores(pitr: PitrTarget): Promise<ArchiveStore[]> {
  return Promise.all(
    pitr.stores.map(async (target) => ({
      name: target.name,
      store: openStore(target),
      sealer: await sealerFor(target),
    })),
  );
}

/** The stores of an archive, ready to be read. Throws `E_IDENTITY` where the private key is not configured. */
export function readableStores(pitr: PitrTarget): Promise<ReadableStore[]> {
  return Promise.all(
    pitr.stores.map(async (target) => ({
      name: target.name,
      store: openStore(target),
      opener: await openerFor(target),
    })),
  );
}
