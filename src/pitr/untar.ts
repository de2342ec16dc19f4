import { createHash } from "node:crypto";
import {
  chmodSync,
  chownSync,
  constants,
  fchmodSync,
  fchownSync,
  mkdirSync,
  openSync,
  rmSync,
} from "node:fs";
import { OpsError } from "../core/errors.ts";
import type { ServerUser } from "../postgres/unprivileged.ts";
import type { FileChecksums } from "./file-checksums.ts";
import { readTar, type TarEntry, TarError } from "./tar.ts";
import { WriteBehind } from "./write-behind.ts";

export interface ExtractWork {
  /** An empty folder, or one that an attempt that was killed has begun to fill. */
  readonly directory: string;
  /** What the names of this tar begin with in the backup_manifest: nothing, or `pg_tblspc/16385/`. */
  readonly prefix: string;
  readonly user: ServerUser;
  /** Undefined: nothing is compared. */
  readonly checksums: FileChecksums | undefined;
  readonly signal: AbortSignal;
}

/** Never through a link that somebody put there. */
const newFile = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;

/**
 * Unpacks a tar of the server, and compares each file with its checksum while it is written. Links are left out: they
 * lead to where tablespaces were. Not synced. The memory of each piece of the tar is given back. Throws `DifferentFile`, `TarError`, `E_DISK_SPACE`, `E_RESTORE_FOLDER`.
 */
export async function extractTar(source: AsyncIterable<Uint8Array>, work: ExtractWork): Promise<void> {
  const folder = Buffer.from(`${work.directory}/`);
  const writes = new WriteBehind();
  try {
    for await (const entry of readTar(writes.released(source))) {
      work.signal.throwIfAborted();
      const path = Buffer.concat([folder, entry.path]);
      try {
        if (entry.kind === "folder") makeFolder(path, entry.mode, work.user);
        else if (entry.kind === "file") await writeEntry(entry, path, work, writes);
      } catch (error) {
        throw failure(work.directory, error);
      }
    }
  } finally {
    await writes.settle();
  }
  try {
    writes.check();
  } catch (error) {
    throw failure(work.directory, error);
  }
}

/** A file of the backup that is not what the backup_manifest says. */
export class DifferentFile extends Error {}

async function writeEntry(
  entry: TarEntry,
  path: Buffer,
  work: ExtractWork,
  writes: WriteBehind,
): Promise<void> {
  const { checksums, user, signal } = work;
  const name = work.prefix + entry.path.toString("latin1");
  const wanted = checksums?.get(name);
  const hash = wanted === undefined ? undefined : createHash("sha256");
  const file = create(path, entry.mode);
  const written = { file, position: 0, pieces: [] };
  try {
    if (user.owner !== undefined) fchownSync(file, user.owner.uid, user.owner.gid);
    fchmodSync(file, entry.mode);
    for await (const piece of entry.content) {
      signal.throwIfAborted();
      await writes.add(written, piece);
      hash?.update(piece);
    }
  } finally {
    writes.finish(written);
  }
  if (hash !== undefined && hash.digest("hex") !== wanted) {
    throw new DifferentFile(`${name} has another checksum than in its backup_manifest`);
  }
}

/** What is there already is of an attempt that was killed. */
function create(path: Buffer, mode: number): number {
  try {
    return openSync(path, newFile, mode);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
    rmSync(path);
    return openSync(path, newFile, mode);
  }
}

function makeFolder(path: Buffer, mode: number, { owner }: ServerUser): void {
  mkdirSync(path, { recursive: true, mode });
  chmodSync(path, mode);
  if (owner !== undefined) chownSync(path, owner.uid, owner.gid);
}

function failure(directory: string, error: unknown): unknown {
  if (error instanceof OpsError || error instanceof TarError || error instanceof DifferentFile) return error;
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  if (code === "ENOSPC" || code === "EDQUOT") {
    return new OpsError("E_DISK_SPACE", `There is no space left for the base backup in ${directory}`, {
      cause: error,
      hint: "free some space there (see: df -h), then: ops runs resume",
    });
  }
  if (typeof code !== "string") return error;
  return new OpsError("E_RESTORE_FOLDER", `The base backup cannot be written into ${directory}`, {
    cause: error,
    hint: "see that this user may write there; then: ops runs resume",
  });
}
