import { OpsError } from "../core/errors.ts";
import { isLocked } from "../storage/locked.ts";
import type { ObjectStore } from "../storage/object-store.ts";
import { compress, decompress } from "../storage/zstd.ts";
import type { ArchiveStore } from "./archive-file.ts";
import { liveObject, livePrefix, liveSegmentPrefix, timelinePrefix } from "./layout.ts";
import type { ReadableStore } from "./read-file.ts";
import { parseWalFile } from "./segment.ts";

/** Some bytes of a segment that is still being written, as they lie in a store. */
export interface LivePart {
  /** Its name in the store. */
  readonly object: string;
  readonly segment: string;
  /** Position in the segment of the first byte, and behind the last one. */
  readonly from: number;
  readonly to: number;
}

/** The parts of one segment that follow each other without a hole from its beginning on. */
export interface LiveChain {
  readonly parts: readonly LivePart[];
  /** How much of the segment they hold. */
  readonly bytes: number;
}

const pattern = /^([0-9A-F]{8})\/([0-9A-F]{24})-([0-9a-f]{8})-([0-9a-f]{8})\.zst(?:\.age|\.aes)$/;

/**
 * Durable in every store when it resolves. Safe to call again: bytes of the log never change, so what is there under
 * that name is the same.
 */
export async function writeLivePart(
  stores: readonly ArchiveStore[],
  part: {
    readonly database: string;
    readonly segment: string;
    readonly from: number;
    readonly content: Buffer;
    /** zstd level. */
    readonly compression: number;
  },
  signal: AbortSignal,
): Promise<void> {
  const { database, segment, from, content, compression } = part;
  const compressed = await collected(compress(rowOf([content]), compression));
  const settled = await Promise.allSettled(
    stores.map(async ({ store, sealer }) => {
      const name = liveObject(database, segment, from, from + content.length, sealer.suffix);
      const sealed = await collected(sealer.encrypt(rowOf(compressed)));
      await store.putIfAbsent(name, Buffer.concat(sealed), { signal });
    }),
  );
  const failed = settled.find((each) => each.status === "rejected");
  if (failed !== undefined) throw failed.reason;
}

/** What of unfinished segments is in the store, by the segments' names. `segment`: only of that one. */
export async function listLive(
  store: ObjectStore,
  database: string,
  segment?: string,
): Promise<ReadonlyMap<string, readonly LivePart[]>> {
  const found = new Map<string, LivePart[]>();
  const prefix = segment === undefined ? livePrefix(database) : liveSegmentPrefix(database, segment);
  for await (const { name } of store.list(prefix)) {
    const part = partOf(database, name);
    if (part !== undefined) found.set(part.segment, [...(found.get(part.segment) ?? []), part]);
  }
  return found;
}

/** Parts may overlap: a receiver that was killed begins its segment anew. Pure. */
export function liveChainOf(parts: readonly LivePart[]): LiveChain {
  const chain: LivePart[] = [];
  let bytes = 0;
  for (;;) {
    const [longest] = parts
      .filter((each) => each.from <= bytes && each.to > bytes)
      .sort((one, other) => other.to - one.to);
    if (longest === undefined) return { parts: chain, bytes };
    chain.push(longest);
    bytes = longest.to;
  }
}

/**
 * How much the stores' live parts hold of a segment, and that, as long as the segment itself would be: zeros follow.
 * Undefined where no store has any. The store that has most is taken; where a part there is damaged, the next.
 *
 * @param size bytes of a segment
 * @throws `E_WAL_CORRUPT`, `E_IDENTITY` and the errors of stores
 */
export async function readLive(
  stores: readonly ReadableStore[],
  database: string,
  segment: string,
  size: number,
  signal: AbortSignal,
): Promise<{ readonly content: Buffer; readonly bytes: number } | undefined> {
  const chains = await Promise.all(
    stores.map(async (each) => {
      const parts = (await listLive(each.store, database, segment)).get(segment) ?? [];
      return { ...each, chain: liveChainOf(parts.filter(({ to }) => to <= size)) };
    }),
  );
  let failure: unknown;
  for (const { name, store, opener, chain } of chains.sort((a, b) => b.chain.bytes - a.chain.bytes)) {
    if (chain.bytes === 0) break;
    const content = Buffer.alloc(size);
    try {
      for (const part of chain.parts) {
        signal.throwIfAborted();
        const opened = opener.decrypt(store.get(part.object, { signal }));
        const bytes = Buffer.concat(await collected(decompress(opened)));
        if (bytes.length !== part.to - part.from) throw damaged(name, part);
        bytes.copy(content, part.from);
      }
      return { content, bytes: chain.bytes };
    } catch (error) {
      signal.throwIfAborted();
      const code = error instanceof OpsError ? error.code : "";
      // The segment was archived in the meantime.
      if (code === "E_OBJECT_MISSING") continue;
      failure ??= ["E_DECRYPT", "E_DECOMPRESS"].includes(code) ? damaged(name, chain, error) : error;
    }
  }
  if (failure !== undefined) throw failure;
  return undefined;
}

/** Removes the parts of a segment. What a store's lock retains stays, and does no harm. */
export async function removeLive(store: ObjectStore, database: string, segment: string): Promise<void> {
  const parts = (await listLive(store, database, segment)).get(segment) ?? [];
  for (const { object } of parts) {
    try {
      await store.delete(object);
    } catch (error) {
      if (!isLocked(error)) throw error;
    }
  }
}

/** Removes what a receiver that was killed left: the parts of segments that the store has whole. */
export async function sweepLive(store: ObjectStore, database: string): Promise<void> {
  for (const segment of (await listLive(store, database)).keys())
    if (await hasSegment(store, database, segment)) await removeLive(store, database, segment);
}

/** Whether the store has the whole segment, whatever encrypted it. */
export async function hasSegment(store: ObjectStore, database: string, segment: string): Promise<boolean> {
  const timeline = parseWalFile(segment)?.timeline;
  if (timeline === undefined) return false;
  const prefix = `${timelinePrefix(database, timeline)}${segment}.zst.`;
  for await (const _ of store.list(prefix)) return true;
  return false;
}

function partOf(database: string, object: string): LivePart | undefined {
  const [, folder, segment = "", from = "", to = ""] =
    pattern.exec(object.slice(livePrefix(database).length)) ?? [];
  if (parseWalFile(segment)?.kind !== "segment" || segment.slice(0, 8) !== folder) return undefined;
  const part = { object, segment, from: Number.parseInt(from, 16), to: Number.parseInt(to, 16) };
  return part.from < part.to ? part : undefined;
}

function damaged(store: string, what: LivePart | LiveChain, cause?: unknown): OpsError {
  const part = "parts" in what ? what.parts[0] : what;
  return new OpsError(
    "E_WAL_CORRUPT",
    `The live part of ${part?.segment} in the archive of store ${store} is damaged`,
    {
      cause,
      hint: "restore to a moment before it: what is archived in whole segments is not concerned",
      details: { segment: part?.segment, store },
      retryable: false,
    },
  );
}

async function* rowOf(parts: readonly Uint8Array[]): AsyncGenerator<Uint8Array> {
  yield* parts;
}

async function collected(source: AsyncIterable<Uint8Array>): Promise<Uint8Array[]> {
  const parts: Uint8Array[] = [];
  for await (const part of source) parts.push(part);
  return parts;
}
