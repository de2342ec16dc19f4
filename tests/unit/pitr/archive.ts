import type { ArchiveState } from "../../../src/pitr/archive-state.ts";
import type { BaseManifest } from "../../../src/wal-archive/base-manifest.ts";
import { formatLsn, lsn } from "../../../src/wal-archive/lsn.ts";
import { segmentName } from "../../../src/wal-archive/segment.ts";

export const size = 16 * 2 ** 20;
export const day = 86_400_000;
export const now = new Date("2026-11-21T12:00:00Z");

/** A position in this segment, so many bytes behind its beginning. */
export const at = (segment: number, bytes = 0) =>
  formatLsn(lsn(BigInt(segment) * BigInt(size) + BigInt(bytes)));

export const segmentOf = (number: number, timeline = 1) =>
  segmentName({ timeline, number: BigInt(number) }, size);

/** Names of the segments from `first` to `last`. */
export function segments(first: number, last: number, timeline = 1): string[] {
  return Array.from({ length: last - first + 1 }, (_, index) => segmentOf(first + index, timeline));
}

/** A base backup that began in one segment and ended in the same one, so many days ago. */
export function base(segment: number, daysAgo: number, more: Partial<BaseManifest> = {}): BaseManifest {
  const stoppedAt = new Date(now.getTime() - daysAgo * day).toISOString();
  return {
    format: "ops-base-backup",
    version: 1,
    id: `20261121T000000Z-main-${String(segment).padStart(4, "0")}`,
    environment: "default",
    database: "main",
    systemIdentifier: "7000000000000000000",
    serverVersion: "15.0",
    segmentBytes: size,
    timeline: 1,
    startLsn: at(segment, 40),
    stopLsn: at(segment, 400),
    startedAt: stoppedAt,
    stoppedAt,
    nextTransaction: "800",
    finishedAt: stoppedAt,
    run: null,
    actor: "a@b",
    encryption: { method: "age", recipients: [] } as never,
    plainBytes: 0,
    objects: [],
    ...more,
  };
}

export function archive(state: Partial<ArchiveState> & { readonly wal: readonly string[] }): ArchiveState {
  const { wal, ...rest } = state;
  return { bases: [], broken: [], live: new Map(), histories: new Map(), ...rest, segments: new Set(wal) };
}
