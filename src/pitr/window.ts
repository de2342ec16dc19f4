import { z } from "zod";
import { counted } from "../core/counted.ts";
import { formatDuration } from "../core/duration.ts";
import { name } from "../core/schema.ts";
import { prometheusFile, refuseMissingFolder, writeMetrics } from "../metrics/file.ts";
import { defineOperation } from "../run/operation.ts";
import { type ArchiveDrill, newestArchiveDrill } from "../wal-archive/drill-record.ts";
import { reportTimelines, type WalGap } from "../wal-archive/gaps.ts";
import { formatLsn, parseLsn } from "../wal-archive/lsn.ts";
import { parseSegment } from "../wal-archive/segment.ts";
import type { ArchiveState } from "./archive-state.ts";
import { drillStore } from "./drill-store.ts";
import { leadsTo, lineOf, newestTimeline, reachOf } from "./line.ts";
import { openArchive } from "./open-archive.ts";
import { prometheusText } from "./prometheus.ts";
import { type WindowEnd, windowEndIfKnown, windowEndSchema } from "./window-end.ts";

const windowSchema = z.object({
  timeline: z.number(),
  from: z.string().describe("The earliest moment, by the server's clock"),
  fromLsn: z.string(),
  untilLsn: z.string().describe("The end of the WAL that is there without a gap"),
  live: z.boolean().describe("Whether the end is in a segment that is still being written (ops wal receive)"),
  bases: z.array(z.string()).describe("Base backups in it, newest first"),
  missing: z.string().nullable().describe("The segment that ends it although the log goes on behind it"),
});

const drillSchema = z.object({
  verdict: z.enum(["pass", "fail"]),
  reason: z.string().nullable(),
  startedAt: z.string(),
  target: z.string(),
  recoveryTimeMs: z.number().nullable(),
  recoveryPointMs: z.number().nullable(),
});

export type Window = z.output<typeof windowSchema>;

const output = z.object({
  end: windowEndSchema
    .nullable()
    .describe(
      "How far the server is ahead of the window that reaches the end of the archive; null: there is none",
    ),
  database: z.string(),
  store: z.string(),
  windows: z.array(windowSchema),
  gaps: z
    .array(z.object({ first: z.string(), last: z.string(), count: z.number() }))
    .describe("Segments that are missing between others of their timeline"),
  useless: z
    .array(z.object({ base: z.string(), reason: z.string() }))
    .describe("Base backups that nothing can be restored from"),
  drill: drillSchema.nullable().describe("The newest drill: ops pitr drill"),
});

export type WindowReport = z.output<typeof output>;

export const window = defineOperation({
  name: "pitr.window",
  summary: "Show what moments a cluster can be restored to by one store, and every gap in its WAL",
  example: "pitr window --database main",
  effect: "read",
  input: z.strictObject({
    database: name("A database of the cluster").optional(),
    store: name("The store; default: the first one of its pitr settings").optional(),
    prometheus: prometheusFile,
  }),
  output,
  observe: async () => null,
  plan: () => [],

  async apply(context, input) {
    if (input.prometheus !== undefined) await refuseMissingFolder(input.prometheus);
    const database = context.environment.database(input.database);
    const archive = await openArchive(database, input.store, context.signal);
    const owner = { environment: context.environment.name, database: database.name };
    const drill = await newestArchiveDrill(drillStore(context, database, input.store).store, owner);
    const state = await archive.state();
    const { windows, useless } = windowsOf(state);
    const open = openWindow(windows, newestTimeline(state));
    const end = open === undefined ? null : await windowEndIfKnown(database, state, open, context.signal);
    const { name } = database;
    const gaps = gapsOf(state);
    const found = { windows, gaps, useless, drill: drillOf(drill) };
    const report = { end, database: name, store: archive.store, ...found };
    if (input.prometheus !== undefined) {
      const text = prometheusText(
        report,
        newestTimeline(state),
        context.environment.name,
        context.clock.now(),
      );
      await writeMetrics(input.prometheus, text);
    }
    return report;
  },

  render({ end, database, store, windows, gaps, useless, drill }) {
    if (windows.length === 0 && useless.length === 0) {
      return `The store ${store} has no base backup of ${database}: make one with: ops pitr base create`;
    }
    return [
      ...windows.flatMap(({ timeline, from, fromLsn, untilLsn, live, bases, missing }) => [
        `timeline ${timeline}: from ${from} (${fromLsn}) to ${untilLsn}${live ? " (live)" : ""}, ${counted(bases.length, "base backup")}`,
        ...(missing === null ? [] : [`  ! a gap follows: WAL ${missing} is not in the archive`]),
      ]),
      ...gaps.map(({ first, last, count }) =>
        count === 1 ? `! missing: WAL ${first}` : `! missing: WAL ${first} to ${last}, ${count} segments`,
      ),
      ...shownEnd(end),
      ...useless.map(({ base, reason }) => `! ${base}: ${reason}`),
      drill === null ? "never drilled: ops pitr drill" : shownDrill(drill),
    ].join("\n");
  },
});

function shownEnd(end: WindowEnd | null): string[] {
  if (end === null) return [];
  const { behindMs, missing, why } = end;
  const lacks = missing === null ? "" : `: the archive lacks ${missing}`;
  if (behindMs === null) {
    return [
      missing === null
        ? `! how far the server is ahead is not known: ${why}`
        : `! the window has ended${lacks}`,
    ];
  }
  return [
    `${missing === null ? "" : "! "}the server is ${formatDuration(behindMs)} ahead of the archive${lacks}`,
  ];
}

function drillOf(record: ArchiveDrill | undefined): z.output<typeof drillSchema> | null {
  if (record === undefined) return null;
  const { verdict, reason, startedAt, target, recoveryTimeMs, recoveryPointMs } = record;
  return { verdict, reason, startedAt, target, recoveryTimeMs, recoveryPointMs };
}

function shownDrill(drill: z.output<typeof drillSchema>): string {
  const { verdict, reason, startedAt, target, recoveryTimeMs } = drill;
  if (verdict === "fail") return `! the newest drill, of ${startedAt}, failed: ${reason}`;
  return `newest drill ${startedAt}: restored to ${target} in ${formatDuration(recoveryTimeMs ?? 0)}`;
}

/**
 * The one that reaches the end of the archive; undefined where a gap is in the way.
 *
 * @param newest the newest timeline in the archive
 */
export function openWindow(windows: readonly Window[], newest: number): Window | undefined {
  return windows.find((each) => each.timeline === newest && each.missing === null);
}

/** Of each timeline, those between its first and its last archived segment; none where no base backup tells their size. Pure. */
export function gapsOf({ bases, segments }: Pick<ArchiveState, "bases" | "segments">): WalGap[] {
  const size = bases[0]?.segmentBytes;
  if (size === undefined) return [];
  const numbers = new Map<number, Set<bigint>>();
  for (const name of segments) {
    const segment = parseSegment(name, size);
    if (segment === undefined) continue;
    numbers.set(segment.timeline, (numbers.get(segment.timeline) ?? new Set()).add(segment.number));
  }
  return reportTimelines(numbers, size).flatMap(({ gaps }) => gaps);
}

/** For each timeline, newest first: what the base backups on the way to it lead to. Gaps split it. */
export function windowsOf(archive: ArchiveState): {
  readonly windows: Window[];
  readonly useless: { base: string; reason: string }[];
} {
  const newest = newestTimeline(archive);
  const timelines = new Set([
    newest,
    ...archive.histories.keys(),
    ...archive.bases.map((each) => each.timeline),
  ]);
  const windows: Window[] = [];
  const used = new Set<string>();
  for (const timeline of [...timelines].sort((a, b) => b - a)) {
    const line = lineOf(timeline, archive.histories.get(timeline) ?? []);
    // By where they end: base backups with no gap between them end at the same one.
    const groups = new Map<string, Window>();
    for (const base of archive.bases.filter((each) => leadsTo(each, line))) {
      const { until, missing, isLive, isGap } = reachOf(base, line, archive);
      if (until < parseLsn(base.stopLsn)) continue;
      used.add(base.id);
      const known = groups.get(missing);
      groups.set(missing, {
        timeline,
        from: base.stoppedAt,
        fromLsn: base.stopLsn,
        untilLsn: formatLsn(until),
        live: isLive,
        bases: [...(known?.bases ?? []), base.id],
        missing: isGap ? missing : null,
      });
    }
    windows.push(...groups.values());
  }
  const useless = archive.bases
    .filter((each) => !used.has(each.id))
    .map((base) => {
      const line = lineOf(base.timeline, archive.histories.get(base.timeline) ?? []);
      const { missing } = reachOf(base, line, archive);
      return { base: base.id, reason: `WAL ${missing} is not in the archive` };
    });
  return {
    windows,
    useless: [...useless, ...archive.broken.map((base) => ({ base, reason: "it is damaged" }))],
  };
}
