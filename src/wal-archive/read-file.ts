import { hash } from "node:crypto";
import { OpsError } from "../core/errors.ts";
import type { Opener } from "../crypto/encryption.ts";
import { type ObjectStore, readObject } from "../storage/object-store.ts";
import { release } from "../storage/released.ts";
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
  let failure: unknown;
  for (const each of stores) {
    signal.throwIfAborted();
    try {
      const found = await readFrom(each, database, file, signal);
      if (found !== undefined) return found;
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
async function readFrom(
  { name, store, opener }: ReadableStore,
  database: string,
  file: string,
  signal: AbortSignal,
): Promise<Buffer | undefined> {
  for (const suffix of suffixes) {
    const object = walObject(database, file, suffix);
    try {
      const parts: Buffer[] = [];
      for await (const part of decompress(opener.decrypt(store.get(object, { signal })))) parts.push(part);
      const content = Buffer.concat(parts);
      for (const part of parts) release(part);
      const sum = (await readObject(store, sumObject(database, file))).toString().trim();
      if (hash("sha256", content, "hex") === sum) return content;
      throw corrupt(name, file, "its checksum differs");
    } catch (error) {
      if (!(error instanceof OpsError)) throw error;
      if (error.code === "E_OBJECT_MISSING") {
        if (error.message.includes(object)) continue;
        throw corrupt(name, file, "its checksum is missing", error);
      }
      if (!damages.includes(error.code)) throw error;
      throw error.code === "E_IDENTITY" ? error : corrupt(name, file, "it cannot be opened", error);
    }
  }
  return undefined;
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
