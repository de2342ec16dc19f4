import type { ObjectStore } from "../storage/object-store.ts";
import { archivedName, walPrefix } from "./layout.ts";
import { parseSegment, parseWalFile } from "./segment.ts";

export interface ArchivedWal {
  /** The numbers of the archived segments, by timeline. */
  readonly segments: ReadonlyMap<number, ReadonlySet<bigint>>;
  /** Names of the `.history` files. */
  readonly histories: readonly string[];
  /** Stored, of all files. */
  readonly bytes: number;
}

/**
 * Everything that is archived of a cluster, by one listing.
 *
 * @param segmentBytes wal_segment_size; names that are none of that size are passed over
 */
export async function listWal(
  store: ObjectStore,
  database: string,
  segmentBytes: number,
): Promise<ArchivedWal> {
  const segments = new Map<number, Set<bigint>>();
  const histories: string[] = [];
  let bytes = 0;
  for await (const object of store.list(walPrefix(database))) {
    const file = archivedName(database, object.name)?.file;
    if (file === undefined) continue;
    bytes += object.bytes;
    const kind = parseWalFile(file)?.kind;
    if (kind === "history") histories.push(file);
    const segment = kind === "segment" ? parseSegment(file, segmentBytes) : undefined;
    if (segment === undefined) continue;
    const numbers = segments.get(segment.timeline) ?? new Set();
    segments.set(segment.timeline, numbers.add(segment.number));
  }
  return { segments, histories, bytes };
}
