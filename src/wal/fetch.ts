import { existsSync } from "node:fs";
import { type FileHandle, open, rename, rm } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { z } from "zod";
import { OpsError, UsageError } from "../core/errors.ts";
import { name } from "../core/schema.ts";
import type { OperationContext } from "../run/context.ts";
import { defineOperation } from "../run/operation.ts";
import { readCluster } from "../wal-archive/cluster.ts";
import { readLive } from "../wal-archive/live-part.ts";
import { isFollowed, type ReadableStore, useArchivedFile } from "../wal-archive/read-file.ts";
import { parseWalFile } from "../wal-archive/segment.ts";
import { isSucceeded } from "../wal-archive/successor.ts";
import { pitrOf, readableStores } from "./archive.ts";
import { fetchAhead } from "./fetched.ts";
import { spoolOf } from "./spool.ts";

/** Segments are archived several at a time: one may come a little later than the one behind it. Milliseconds. */
const gapPatience = 5_000;

export const fetchFields = {
  file: z.string().min(1, "must not be empty").describe("The name, as PostgreSQL gives it: %f"),
  path: z.string().min(1, "must not be empty").describe("Where it goes, as PostgreSQL gives it: %p"),
  database: name("The database whose cluster was archived").optional(),
  stores: z
    .array(name("A store"))
    .min(1)
    .optional()
    .describe("Ask these stores only, as if there were no others; default: all of the archive"),
};

export const fetch = defineOperation({
  name: "wal.fetch",
  summary: "Give a recovering server a file of the archive; PostgreSQL's restore_command",
  example: "wal fetch 00000001000000000000002A pg_wal/RECOVERYXLOG --database main",
  effect: "change",
  // The server calls it for every segment, and writes its own log of what it restores.
  journaled: false,
  input: z.strictObject(fetchFields),
  positional: ["file", "path"],
  output: z.object({ file: z.string(), bytes: z.number() }),
  observe: async () => null,
  plan: (_before, { file, path }) => [{ target: path, action: "create", summary: `fetch ${file}` }],

  async apply(context, { file, path, database, stores: names }) {
    requireWalFile(file);
    const target = context.environment.database(database);
    const stores = await readableStores(pitrOf(target), names);
    // The server syncs what it keeps, and asks again after a crash (xlogarchive.c).
    const durability = spoolOf(path) === undefined ? "synced" : "written";
    const write = (content: Content) => writeWhole(path, content, durability);
    const take = () => useArchivedFile(stores, target.name, file, write, context.signal);
    const whole = await unlessMissing(take);
    if (whole !== undefined) fetchAhead(file, path, process.argv.slice(2));
    const asked = { stores, database: target.name, file, path };
    return { file, bytes: whole ?? (await endOfLog(asked, take, write, context)) };
  },

  render: () => "",
});

/** Throws `E_WAL_SEGMENT`. */
export function requireWalFile(file: string): void {
  if (parseWalFile(file) !== undefined) return;
  throw new UsageError("E_WAL_SEGMENT", `"${file}" is no name of a file that PostgreSQL archives`, {
    hint: "give the command what PostgreSQL gives it: restore_command = 'ops wal fetch %f %p'",
  });
}

type Content = AsyncIterable<Uint8Array> | Iterable<Uint8Array>;

/**
 * Appears under its name only when all of it has come: neither SIGKILL nor content that ends with an error leaves half of
 * it there. `synced`: nor does a power cut.
 *
 * @returns its bytes
 */
export async function writeWhole(
  path: string,
  content: Content,
  durability: "synced" | "written",
  unfinished = `${path}.fetching`,
): Promise<number> {
  let bytes = 0;
  const file = await open(unfinished, "w", 0o600);
  try {
    for await (const piece of content) {
      await writePiece(file, piece);
      bytes += piece.length;
    }
    if (durability === "synced") await file.sync();
  } catch (error) {
    await rm(unfinished, { force: true });
    throw noSpace(path, error);
  } finally {
    await file.close();
  }
  await rename(unfinished, path);
  return bytes;
}

/** In one call, as a rule: writing a file's worth at once, Node makes two of each MiB. */
async function writePiece(file: FileHandle, piece: Uint8Array): Promise<void> {
  for (let done = 0; done < piece.length; ) done += (await file.write(piece, done)).bytesWritten;
}

interface Asked {
  readonly stores: readonly ReadableStore[];
  readonly database: string;
  readonly file: string;
  readonly path: string;
}

/** Which disk it is, where it is full. */
function noSpace(path: string, error: unknown): unknown {
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  if (code !== "ENOSPC" && code !== "EDQUOT") return error;
  return new OpsError("E_DISK_SPACE", `There is no space left for ${basename(path)} in ${dirname(path)}`, {
    cause: error,
    hint: "free some space there (see: df -h), then start the server again",
  });
}

/**
 * A recovery ends at the first file that is missing, and a server that is not told that there is more behind it would
 * go on from there as if nothing were lost. Where there is nothing, the live part of the segment is the end of the
 * log. A standby only waits, and asks again.
 *
 * @param take writes the file that the archive has
 * @returns the bytes that were written
 */
async function endOfLog(
  asked: Asked,
  take: () => Promise<number>,
  write: (content: Content) => Promise<number>,
  context: OperationContext,
): Promise<number> {
  const { stores, database, file, path } = asked;
  if (parseWalFile(file)?.kind !== "segment" || isStandby(path)) return take();
  const segmentBytes = await segmentBytesOf(stores, database);
  if (
    (await isFollowed(stores, database, file, segmentBytes)) ||
    (await isSucceeded(stores, database, file, segmentBytes, context.signal))
  ) {
    await delay(gapPatience, undefined, { signal: context.signal });
    return take().catch((error) => {
      throw isMissing(error) ? gap(database, file) : error;
    });
  }
  const live = await readLive(stores, database, file, segmentBytes, context.signal);
  // It may have been archived whole in the meantime.
  const whole = await unlessMissing(take);
  if (whole !== undefined || live === undefined) return whole ?? take();
  return write([live.content]);
}

/** Throws `E_WAL_ARCHIVE` where none of the stores has the archive: a disk that is not mounted is no end of the log. */
async function segmentBytesOf(stores: readonly ReadableStore[], database: string): Promise<number> {
  for (const { store } of stores) {
    const cluster = await readCluster(store, database);
    if (cluster !== undefined) return cluster.segmentBytes;
  }
  throw new OpsError(
    "E_WAL_ARCHIVE",
    `There is no archive of ${database} in ${stores.map(({ store }) => store.location).join(", ")}`,
    { hint: "see that the disk is mounted and that the store's url is right (ops wal status)" },
  );
}

function isStandby(path: string): boolean {
  return existsSync(join(dirname(path), "..", "standby.signal"));
}

function gap(database: string, file: string): OpsError {
  return new OpsError("E_WAL_GAP", `The archive of ${database} has no ${file}, but segments behind it`, {
    hint: "restore to a moment before it, or from a base backup behind it (see: ops wal status)",
    details: { file },
    retryable: false,
  });
}

function isMissing(error: unknown): boolean {
  return error instanceof OpsError && error.code === "E_WAL_MISSING";
}

async function unlessMissing<T>(read: () => Promise<T>): Promise<T | undefined> {
  try {
    return await read();
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
}
