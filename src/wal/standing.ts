import { z } from "zod";
import { formatDuration } from "../core/duration.ts";
import { formatBytes } from "../core/size.ts";
import { reportTimelines, type TimelineReport } from "../wal-archive/gaps.ts";
import { formatLsn, type Lsn } from "../wal-archive/lsn.ts";
import { archiveLag, keptFor, shownMissing } from "../wal-server/lag.ts";
import type { ArchivingServer, Receiver } from "../wal-server/server.ts";
import { leastFree, roomLeft } from "./disk-room.ts";

export const storeStandingSchema = z.object({
  store: z.string(),
  error: z.string().nullable().describe("Why it cannot be read, or whose archive it is instead"),
  bytes: z.number().describe("Stored, of all archived WAL"),
  lagBytes: z.number().nullable().describe("Written by the server and not yet here; null: nothing is"),
  lagSegments: z.number().nullable().describe("Segments that the server has finished and that are not here"),
  lagMs: z
    .number()
    .nullable()
    .describe(
      "How long ago the first of them was finished, or where there is none how long the server has been writing to the open one; null: not known",
    ),
  missing: z.string().nullable().describe("The first of these segments"),
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

/** Where a store does not follow: why that may be. */
const notOurs =
  "archive_command is another tool's, which does not write to this archive: ops pitr setup shows what it should be";

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
  const { segmentBytes, timeline } = server;
  const reports = reportTimelines(segments, segmentBytes);
  const whole = reports.find((each) => each.timeline === timeline)?.archivedUntil;
  const until = live !== undefined && live > (whole ?? 0n) ? live : whole;
  const lag = until === undefined ? undefined : archiveLag(server, until);
  return {
    store,
    error: null,
    bytes,
    lagBytes: lag?.bytes ?? null,
    lagSegments: lag?.segments ?? null,
    lagMs: lag?.ms ?? null,
    missing: lag?.missing ?? null,
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
 * Milliseconds until pg_wal's file system is full, if WAL goes on as it has since the oldest file waits for archive_command
 * or the oldest segment for the replication slot; null where nothing has waited for a minute or the disk is another
 * machine's. Pure.
 */
export function fullIn(server: ArchivingServer): number | null {
  const { waiting, waitingMs, segmentBytes, disk, receiver } = server;
  if (disk === null) return null;
  const piles = [
    { bytes: waiting * segmentBytes, ms: waitingMs },
    { bytes: receiver?.keptBytes ?? 0, ms: keptFor(server) ?? 0 },
  ].filter(({ bytes, ms }) => bytes > 0 && ms >= shortestPile);
  const times = piles.map(({ bytes, ms }) => (disk.freeBytes * ms) / bytes);
  return times.length === 0 ? null : Math.min(...times);
}

/**
 * What a store lacks although the server waits for nobody to archive it: it has given the segments away, or has them no
 * more. Null where the store follows. Pure.
 */
export function lost(server: ArchivingServer, standing: StoreStanding): string | null {
  const { lagMs, lagSegments, missing } = standing;
  if (missing === null) return null;
  const isPassedBy = server.archives && server.waiting === 0 && server.receiver?.active !== true;
  if (lagMs !== null && !(isPassedBy && lagMs >= shortestPile)) return null;
  const shown = shownMissing({ missing, segments: lagSegments ?? 1, ms: lagMs });
  const taken = isPassedBy ? ", and the server takes it for archived" : "";
  return `store ${standing.store} lacks ${shown}${taken}`;
}

/**
 * How old what would be lost with the server may be, in milliseconds, by the archive that is furthest behind; null: not
 * known. Pure.
 */
export function lagOf(server: ArchivingServer, stores: readonly StoreStanding[]): number | null {
  const { waitingMs, receiver } = server;
  const known = stores.flatMap(({ lagMs }) => (lagMs === null ? [] : [lagMs]));
  if (known.length < stores.length) return null;
  return Math.max(waitingMs, receiver?.lagMs ?? 0, keptFor(server) ?? 0, ...known);
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
  const losses = stores.flatMap((each) => lost(server, each) ?? []);
  return [
    ...(archives || receiver?.active === true ? [] : [`the server archives nothing: ${notArchiving}`]),
    ...receiverWarnings(receiver),
    ...losses,
    ...(losses.length === 0 || !archives || server.isOurs ? [] : [notOurs]),
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

/** Why nothing can be received any more. */
export function slotGone({ slot }: Pick<Receiver, "slot">): string {
  return `the server has given up the slot ${slot}: what it kept for it is lost`;
}

function receiverWarnings(receiver: Receiver | null): string[] {
  if (receiver === null) return [];
  const { slot, active, keptBytes } = receiver;
  if (keptBytes === null) return [slotGone(receiver)];
  if (active) return [];
  return [`nothing receives from the slot ${slot}, for which the server keeps ${formatBytes(keptBytes)}`];
}
