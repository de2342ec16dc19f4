import { type Lsn, lsn } from "./lsn.ts";

/**
 * The names of files in pg_wal, and which part of the log a segment holds (xlog_internal.h). A segment's name is its
 * timeline, its log (4 GiB each) and its number in the log, 8 hexadecimal digits each.
 */
export interface Segment {
  /** From 1 on. */
  readonly timeline: number;
  /** From the beginning of the log on: it holds the bytes `number * size` to `(number + 1) * size`. */
  readonly number: bigint;
}

/** What PostgreSQL archives. */
export type WalFile =
  | { readonly kind: "segment"; readonly timeline: number }
  /** The last, incomplete segment of a timeline that another one followed. */
  | { readonly kind: "partial"; readonly timeline: number }
  /** Where the timeline comes from. */
  | { readonly kind: "history"; readonly timeline: number }
  /** Where a base backup began and ended. */
  | { readonly kind: "backup"; readonly timeline: number };

const logBytes = 1n << 32n;
const pattern = /^([0-9A-F]{8})(?:([0-9A-F]{8})([0-9A-F]{8})(\.partial|\.[0-9A-F]{8}\.backup)?|\.history)$/;

/** Undefined for what is no name of a file that PostgreSQL archives. */
export function parseWalFile(name: string): WalFile | undefined {
  const [, timelineText = "", log, , suffix] = pattern.exec(name) ?? [];
  const timeline = Number.parseInt(timelineText, 16);
  if (!(timeline > 0)) return undefined;
  if (log === undefined) return { kind: "history", timeline };
  if (suffix === undefined) return { kind: "segment", timeline };
  return { kind: suffix === ".partial" ? "partial" : "backup", timeline };
}

/**
 * The segment of a name, that of a `.partial` or `.backup` file included.
 *
 * @param size bytes of a segment: a power of two, 1 MiB to 1 GiB
 * @returns undefined for what is no name of a segment of that size
 */
export function parseSegment(name: string, size: number): Segment | undefined {
  const file = parseWalFile(name);
  if (file === undefined || file.kind === "history") return undefined;
  const perLog = logBytes / BigInt(size);
  const inLog = BigInt(`0x${name.slice(16, 24)}`);
  if (inLog >= perLog) return undefined;
  return { timeline: file.timeline, number: BigInt(`0x${name.slice(8, 16)}`) * perLog + inLog };
}

export function segmentName({ timeline, number }: Segment, size: number): string {
  const perLog = logBytes / BigInt(size);
  return [BigInt(timeline), number / perLog, number % perLog].map(eightDigits).join("");
}

export function next({ timeline, number }: Segment): Segment {
  return { timeline, number: number + 1n };
}

/** The segment that holds the byte at this position. */
export function ofLsn(timeline: number, position: Lsn, size: number): Segment {
  return { timeline, number: position / BigInt(size) };
}

/** The position of a segment's first byte. */
export function startOf({ number }: Segment, size: number): Lsn {
  return lsn(number * BigInt(size));
}

/** The position behind a segment's last byte. */
export function endOf({ number }: Segment, size: number): Lsn {
  return lsn((number + 1n) * BigInt(size));
}

/** `0000000A`, as in the names of files. */
export function timelineName(timeline: number): string {
  return eightDigits(BigInt(timeline));
}

/** Whether it can be the size of a segment, in bytes. */
export function isSegmentSize(size: number): boolean {
  return size >= 2 ** 20 && size <= 2 ** 30 && (size & (size - 1)) === 0;
}

function eightDigits(value: bigint): string {
  return value.toString(16).toUpperCase().padStart(8, "0");
}
