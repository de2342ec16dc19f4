import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { digest } from "../core/digest.ts";
import { OpsError } from "../core/errors.ts";
import type { ObjectStore } from "../storage/object-store.ts";
import { type ArchivedCluster, claimArchive, readCluster } from "./cluster.ts";

/**
 * As `claimArchive`, and an archive that this machine has seen in the store must still be there: the empty folder below
 * a disk that is not mounted would be taken for a new store, and what is archived there for safe.
 *
 * @param folder where this machine keeps a mark for each archive; undefined: nowhere
 * Throws `E_WAL_ARCHIVE` where it is gone, `E_WAL_FOREIGN`.
 */
export async function claimKnownArchive(
  store: ObjectStore,
  cluster: ArchivedCluster,
  folder: string | undefined,
): Promise<void> {
  if (folder === undefined) return claimArchive(store, cluster);
  const { database, systemIdentifier } = cluster;
  const mark = join(folder, digest(`${store.location} ${database}`).replace(/^.*:/, "").slice(0, 16));
  const known = await readFile(mark, "utf8").catch(() => undefined);
  if (known === systemIdentifier && (await readCluster(store, database)) === undefined) {
    throw new OpsError("E_WAL_ARCHIVE", `The archive of ${database} in ${store.location} is gone`, {
      hint: `mount its disk or mend the store's url; where it was removed on purpose, remove ${mark} to begin a new one`,
      retryable: true,
    });
  }
  await claimArchive(store, cluster);
  if (known === systemIdentifier) return;
  // Without a mark (a full disk, above all) the archive is as safe as it was before.
  await mkdir(folder, { recursive: true, mode: 0o700 })
    .then(() => writeFile(mark, systemIdentifier, { mode: 0o600 }))
    .catch(() => undefined);
}

/** Of what is archived over a connection, beside the journal. */
export const archiveMarks = (stateDirectory: string) => join(stateDirectory, "archives");
