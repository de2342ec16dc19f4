import { access, constants, stat, statfs } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import { OpsError } from "../../core/errors.ts";

/** What df tells of the file system of a path. Sizes in bytes. */
export type FileSystemRoom = {
  readonly path: string;
  /** Folders with the same number share their room. */
  readonly device: number;
  readonly freeBytes: number;
  readonly totalBytes: number;
  /** What we may still write, in percent of that and what is written: as df counts. */
  readonly freePercent: number;
  /** Null on a file system that makes them as they are needed. */
  readonly freeInodesPercent: number | null;
  readonly isReadOnly: boolean;
  /** Whether a file system begins at this path. */
  readonly isMounted: boolean;
};

/** Throws `E_DISK_UNSEEN` where the path cannot be looked at. */
export async function roomOf(path: string): Promise<FileSystemRoom> {
  try {
    const { bavail, bfree, blocks, bsize, files, ffree } = await statfs(path);
    const writable = blocks - bfree + bavail;
    const own = await stat(path);
    const above = await stat(dirname(resolve(path)));
    return {
      path,
      device: own.dev,
      freeBytes: bavail * bsize,
      totalBytes: blocks * bsize,
      freePercent: share(bavail, writable) ?? 0,
      freeInodesPercent: share(ffree, files),
      isReadOnly: await isReadOnly(path),
      isMounted: own.dev !== above.dev || resolve(path) === "/",
    };
  } catch (error) {
    throw new OpsError("E_DISK_UNSEEN", `The file system of ${path} cannot be looked at`, { cause: error });
  }
}

function share(part: number, whole: number): number | null {
  return whole === 0 ? null : Math.round((1000 * part) / whole) / 10;
}

/** A disk with errors is mounted again without writing. That we have no right to write is another matter. */
async function isReadOnly(path: string): Promise<boolean> {
  try {
    await access(path, constants.W_OK);
    return false;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EROFS";
  }
}
