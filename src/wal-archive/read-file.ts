import { createHash } from "node:crypto";
import { OpsError } from "../core/errors.ts";
import type { Opener } from "../crypto/encryption.ts";
import { type ObjectStore, readObject } from "../storage/object-store.ts";
import { release, released } from "../storage/released.ts";
import { decompress } from "../storage/zstd.ts";
import { liveTimelinePrefix, sumObject, timelinePrefix, walObject } from "./layout.ts";
import { parseSegment, segmentName, timelineName } from "./segment.ts";

/** A store, and what opens what is in it. */
export interface ReadableStore {
  readonly name: string;
  readonly store: ObjectStore;
  readonly opener: Opener;
}

const suffixes = [".age", ".aes"] as const;
/** What says that an object, not the way to it, is at fault. */
const damages = ["E_DECRYPT", "E_DECOMPRESS", "E_IDENTITY"];

/**
 * An archived file, whole and compared with the checksum it was archived with; from the first store that gives it.
 *
 * @throws `E_WAL_MISSING` where every store was asked and none has it; `E_WAL_CORRUPT` where none has it whole;
 * `E_IDENTITY` and the errors of stores
 */
export async function readArchivedFile(
  stores: readonly ReadableStore[],
  database: string,
  file: string,
  signal: AbortSignal,
): Promise<Buffer> {
  return useArchivedFile(stores, database, file, collected, signal);
}

/**
 * As `readArchivedFile`, in pieces and with little memory. The pieces end without an error only where all of them are
 * what was archived: until then nothing of them may be believed. Each is there until the next one is asked for.
 *
 * @param use called for each store that has it, until it has read the pieces of one of them to their end; never where
 * none has it
 */
export async function useArchivedFile<T>(
  stores: readonly ReadableStore[],
  database: string,
  file: string,
  use: (content: AsyncIterable<Uint8Array>) => Promise<T>,
  signal: AbortSignal,
): Promise<T> {
  let failure: unknown;
  for (const each of stores) {
    signal.throwIfAborted();
    try {
      const found = await useOf(each, database, file, use, signal);
      if (found !== undefined) return found.result;
    } catch (error) {
      signal.throwIfAborted();
      failure ??= error;
    }
  }
  if (failure !== undefined) throw failure;
  throw new OpsError("E_WAL_MISSING", `The archive of ${database} has no ${file}`, {
    details: { file },
    retryable: false,
  });
}

/** Undefined where the store does not have it. */
async function useOf<T>(
  { name, store, opener }: ReadableStore,
  database: string,
  file: string,
  use: (content: AsyncIterable<Uint8Array>) => Promise<T>,
  signal: AbortSignal,
): Promise<{ readonly result: T } | undefined> {
  const sum = sumObject(database, file);
  for (const suffix of suffixes) {
    const object = walObject(database, file, suffix);
    const stored = released(store.get(object, { signal }));
    const content = checked(released(decompress(released(opener.decrypt(stored)))), async (found) => {
      if (found !== (await readObject(store, sum)).toString().trim())
        throw corrupt(name, file, "its checksum differs");
    });
    try {
      // Whether it is there shows in the first piece.
      const first = await content.next();
      return { result: await use(joined(first, content)) };
    } catch (error) {
      if (!(error instanceof OpsError)) throw error;
      if (error.code === "E_OBJECT_MISSING") {
        if (error.message.includes(object)) continue;
        throw corrupt(name, file, "its checksum is missing", error);
      }
      if (!damages.includes(error.code)) throw error;
      throw error.code === "E_IDENTITY" ? error : corrupt(name, file, "it cannot be opened", error);
    } finally {
      await content.return(undefined);
    }
  }
  return undefined;
}

/** @param judge is told the SHA-256 of the whole, and throws where it is another one than it must be */
async function* checked(
  source: AsyncIterable<Uint8Array>,
  judge: (sha256: string) => Promise<void>,
): AsyncGenerator<Uint8Array> {
  const hash = createHash("sha256");
  for await (const piece of source) {
    hash.update(piece);
    yield piece;
  }
  await judge(hash.digest("hex"));
}

async function* joined(
  first: IteratorResult<Uint8Array>,
  rest: AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array> {
  if (first.done === true) return;
  yield first.value;
  yield* rest;
}

async function collected(content: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const parts: Buffer[] = [];
  // A piece is gone when the next one comes.
  for await (const piece of content) parts.push(Buffer.from(piece));
  const whole = Buffer.concat(parts);
  for (const part of parts) release(part);
  return whole;
}

/**
 * Whether the archive has a segment behind this one, in the same or the next 4 GiB of the log of its timeline, or a part
 * of one: then this one is not missing because it is the end.
 *
 * @param size bytes of a segment
 */
export async function isFollowed(
  stores: readonly Pick<ReadableStore, "store">[],
  database: string,
  file: string,
  size: number,
): Promise<boolean> {
  const segment = parseSegment(file, size);
  if (segment === undefined) return false;
  const log = segment.number / (2n ** 32n / BigInt(size));
  for (const { store } of stores) {
    for (const each of [log, log + 1n]) {
      const inLog = timelineName(segment.timeline) + each.toString(16).toUpperCase().padStart(8, "0");
      for (const folder of [timelinePrefix, liveTimelinePrefix]) {
        for await (const object of store.list(`${folder(database, segment.timeline)}${inLog}`)) {
          const found = parseSegment(object.name.split("/").at(-1)?.slice(0, 24) ?? "", size);
          if (found !== undefined && found.number > segment.number) return true;
        }
      }
    }
  }
  return false;
}

/** The names of the segments behind this one, in order. */
export function following(file: string, count: number, size: number): string[] {
  const segment = parseSegment(file, size);
  if (segment === undefined) return [];
  return Array.from({ length: count }, (_, index) =>
    segmentName({ ...segment, number: segment.number + BigInt(index + 1) }, size),
  );
}

function corrupt(store: string, file: string, why: string, cause?: unknown): OpsError {
  return new OpsError("E_WAL_CORRUPT", `${file} in the archive of store ${store} is damaged: ${why}`, {
    cause,
    hint: "what comes behind it can only be restored from another store, or from a newer base backup",
    details: { file, store },
    retryable: false,
  });
}
