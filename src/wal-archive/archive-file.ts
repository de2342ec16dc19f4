import { hash } from "node:crypto";
import { OpsError } from "../core/errors.ts";
import type { Sealer } from "../crypto/sealer.ts";
import { type ObjectStore, readObject } from "../storage/object-store.ts";
import { release } from "../storage/released.ts";
import { compressWhole } from "../storage/zstd.ts";
import { sumObject, walObject } from "./layout.ts";

/** A store, and who can open what is written to it. */
export interface ArchiveStore {
  readonly name: string;
  readonly store: ObjectStore;
  readonly sealer: Sealer;
}

export interface FileToArchive {
  readonly database: string;
  /** As PostgreSQL named it. */
  readonly file: string;
  /** Must not change before it is archived. */
  readonly content: Buffer;
  /** zstd level. */
  readonly compression: number;
}

const suffixes = [".age", ".aes"] as const;

/**
 * Archives a file of pg_wal: when this resolves it is whole and durable in every one of the stores. Safe to call
 * again, and at the same time, for the same file: its name is claimed with the checksum of its content before it is
 * written, so what is there under that name is the same. Throws `E_WAL_DIFFERENT` where the name has another content.
 * Holds the file's compressed content in memory.
 */
export async function archiveFile(
  stores: readonly ArchiveStore[],
  input: FileToArchive,
  signal: AbortSignal,
) {
  const { database, file, content, compression } = input;
  const sum = hash("sha256", content, "hex");
  // Compressed at the first store that wants it: mostly nobody does where it is there already.
  let compressed: Promise<Buffer[]> | undefined;
  const settled = await Promise.allSettled(
    stores.map(async (each) => {
      signal.throwIfAborted();
      const isNew = await claim(each.store, database, file, sum);
      if (!isNew && (await isArchived(each.store, database, file))) return;
      compressed ??= collected(compressWhole(content, compression));
      const body = together(await collected(each.sealer.encrypt(rowOf(await compressed))));
      const name = walObject(database, file, each.sealer.suffix);
      // Of a request that came to nothing some of it may still be on its way.
      if (await each.store.putIfAbsent(name, body, { signal })) release(body);
    }),
  );
  const failed = settled.find((each) => each.status === "rejected");
  if (failed !== undefined) throw failed.reason;
  for (const each of (await compressed) ?? []) release(each);
}

/** Whether the file is whole in the store, whatever encrypted it. */
async function isArchived(store: ObjectStore, database: string, file: string): Promise<boolean> {
  for (const suffix of suffixes) if (await exists(store, walObject(database, file, suffix))) return true;
  return false;
}

/** True where nobody had claimed the name before. */
async function claim(store: ObjectStore, database: string, file: string, sum: string): Promise<boolean> {
  const name = sumObject(database, file);
  if (await store.putIfAbsent(name, Buffer.from(`${sum}\n`))) return true;
  const claimed = (await readObject(store, name)).toString().trim();
  if (claimed === sum) return false;
  throw new OpsError(
    "E_WAL_DIFFERENT",
    `${store.location} has another ${file} in the archive of ${database}; it is kept`,
    {
      hint: "two servers archive under one timeline: give one of them an archive of its own (docs/wal.md)",
      details: { file, archived: claimed, refused: sum },
      retryable: false,
    },
  );
}

async function exists(store: ObjectStore, name: string): Promise<boolean> {
  try {
    for await (const _ of store.get(name, { start: 0, end: 1 })) break;
    return true;
  } catch (error) {
    if (error instanceof OpsError && error.code === "E_OBJECT_MISSING") return false;
    throw error;
  }
}

async function* rowOf(parts: readonly Buffer[]): AsyncGenerator<Buffer> {
  yield* parts;
}

async function collected(source: AsyncIterable<Buffer>): Promise<Buffer[]> {
  const parts: Buffer[] = [];
  for await (const part of source) parts.push(part);
  return parts;
}

/** Gives the memory of the parts back. */
function together(parts: readonly Buffer[]): Buffer {
  const whole = Buffer.concat(parts);
  for (const each of parts) release(each);
  return whole;
}
