import { z } from "zod";
import { formatDuration } from "../core/duration.ts";
import { formatBytes } from "../core/size.ts";
import { reportTimelines, type TimelineReport } from "../wal-archive/gaps.ts";
import { formatLsn, type Lsn, parseLsn } from "../wal-archive/lsn.ts";
import { leastFree, roomLeft } from "./disk-room.ts";
import type { ArchivingServer, Receiver } from "./server.ts";

export const storeStandingSchema = z.object({
  store: z.string(),
  error: z.string().nullable().describe("Why it cannot be read, or whose archive it is instead"),
  bytes: z.number().describe("Stored, of all archived WAL"),
  lagBytes: z.number().nullable().describe("Written by the server and not yet here; null: nothing is"),
  timelines: z.array(
    z.object({
      timeline: z.number(),
      segments: z.number(),
      archivedUntil: z.string().nullable().describe("The position behind the last segment"),
      gaps: z.array(z.object({ first: z.string(), last: z.string(), count: z.number() })),
    }),
  ),
});

export type StoreStanding = z.output<typeof storeStandingSchema>;

/** Milliseconds: warn when it is full sooner than this, as WAL goes. A night, to be found in the morning. */
const soonestFull = 12 * 3_600_000;
/** Milliseconds that a file must have waited to tell a pace: one that is on its way is no pile. */
const shortestPile = 60_000;
/** Times max_wal_size that pg_wal may have before something keeps segments there. */
const mostWal = 2;

/** Why a server archives nothing by itself. */
export const notArchiving = "archive_mode is off or archive_command is empty";

/**
 * What a store has, against what the server has written. Pure.
 *
 * @param live where the live parts of the server's timeline end
 */
export function storeStanding(
  store: string,
  server: ArchivingServer,
  archived: { readonly segments: ReadonlyMap<number, ReadonlySet<bigint>>; readonly bytes: number },
  live?: Lsn,
): StoreStanding {
  const { segments, bytes } = archived;
  const { segmentBytes, timeline, position } = server;
  const reports = reportTimelines(segments, segmentBytes);
  const whole = reports.find((each) => each.timeline === timeline)?.archivedUntil;
  const until = live !== undefined && live > (whole ?? 0n) ? live : whole;
  const lag = until === undefined ? null : Number(parseLsn(position) - until);
  return {
    store,
    error: null,
    bytes,
    lagBytes: lag === null ? null : Math.max(0, lag),
    timelines: reports.map(timelineStanding),
  };
}

function timelineStanding({ timeline, segments, archivedUntil, gaps }: TimelineReport) {
  return {
    timeline,
    segments,
    archivedUntil: formatLsn(archivedUntil),
    gaps: gaps.map(({ first, last, count }) => ({ first, last, count })),
  };
}

/**
 * Milliseconds until pg_wal's file system is full, if WAL goes on as it has since the oldest file waits; null where nothing
 * has waited for a minute or the disk is another machine's. Pure.
 */
export function fullIn({ waiting, waitingMs, segmentBytes, disk }: ArchivingServer): number | null {
  if (disk === null || waiting === 0 || waitingMs < shortestPile) return null;
  return (disk.freeBytes * waitingMs) / (waiting * segmentBytes);
}

/** What is worth a look before it is dangerous. Pure. */
export function warningsOf(server: ArchivingServer, stores: readonly StoreStanding[]): string[] {
  const { archives, receiver, failing, waiting, waitingMs, walBytes, maxWalBytes, disk } = server;
  const free = disk === null || disk.totalBytes === 0 ? 1 : disk.freeBytes / disk.totalBytes;
  const gaps = stores.flatMap(({ store, timelines }) =>
    timelines.flatMap((each) =>
      each.gaps.map((gap) => `${store} lacks ${gap.count === 1 ? gap.first : `${gap.first} to ${gap.last}`}`),
    ),
  );
  return [
    ...(archives || receiver?.active === true ? [] : [`the server archives nothing: ${notArchiving}`]),
    ...receiverWarnings(receiver),
    ...(failing === null ? [] : [`the last attempt failed, at ${failing}: the server's log says why`]),
    ...(waiting === 0 ? [] : [`${waiting} files wait, the oldest for ${formatDuration(waitingMs)}`]),
    ...(walBytes <= maxWalBytes * mostWal
      ? []
      : [`pg_wal has ${formatBytes(walBytes)}, and max_wal_size is ${formatBytes(maxWalBytes)}`]),
    ...(free >= leastFree || disk === null ? [] : [roomLeft(disk.freeBytes, free)]),
    ...fullSoon(fullIn(server)),
    ...gaps,
  ];
}

function fullSoon(ms: number | null): string[] {
  if (ms === null || ms > soonestFull) return [];
  return [`as WAL piles up, pg_wal's file system is full in ${formatDuration(ms)}: the server stops then`];
}

function receiverWarnings(receiver: Receiver | null): string[] {
  if (receiver === null) return [];
  const { slot, active, keptBytes } = receiver;
  if (keptBytes === null) return [`the server has given up the slot ${slot}: what it kept for it is lost`];
  if (active) return [];
  return [`nothing receives from the slot ${slot}, for which the server keeps ${formatBytes(keptBytes)}`];
}
