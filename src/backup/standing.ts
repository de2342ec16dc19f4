import { z } from "zod";
import { withoutParts } from "../archive/catalog.ts";
import { formatDuration } from "../core/duration.ts";
import { formatBytes } from "../core/size.ts";
import type { BackupOverview } from "./overview.ts";

const pointSchema = z.object({
  id: z.string(),
  startedAt: z.string(),
  bytes: z.number(),
  durationMs: z.number(),
});

const warningSchema = z.object({
  kind: z.enum(["smaller", "slower", "broken", "future", "drill-failed", "none"]),
  text: z.string(),
});

export const standingSchema = z.object({
  database: z.string(),
  store: z.string(),
  newest: pointSchema.nullable().describe("The newest whole backup"),
  ageMs: z.number().nullable().describe("Of the newest whole backup"),
  maxAgeMs: z.number(),
  overdue: z.boolean(),
  count: z.number().describe("Whole backups"),
  broken: z.number(),
  parts: z.number().describe("Backups of a part of the database, which do not count beside whole ones"),
  held: z.number().describe("Under legal hold"),
  bytes: z.number().describe("Stored, of all whole backups"),
  warnings: z.array(warningSchema),
  history: z.array(pointSchema).describe("The newest whole backups, oldest first"),
});

/** How the backups of one database in one store stand. */
export type Standing = z.output<typeof standingSchema>;
type Point = z.output<typeof pointSchema>;
export type Warning = z.output<typeof warningSchema>;

export interface StandingLimits {
  readonly maxAgeMs: number;
  /** How many backups the history has. */
  readonly last: number;
  /** What it is where there is no backup at all. Default: overdue. */
  readonly none?: "overdue" | "warning";
}

/** Clocks of two machines may differ a little, in milliseconds. */
const clockTolerance = 5 * 60_000;
/** What the newest one is compared with: the median of so many before it, at least so few. */
const compared = { most: 5, least: 3 };
/** Percent of the median size below which the newest one is much smaller. */
export const smallerThan = 50;
/** Times the median duration above which it is much slower, and milliseconds below which that does not matter. */
const slower = { than: 2, atLeast: 60_000 };

const noneHere = {
  kind: "none" as const,
  text: "none here, while another store has some: never made, or lost (expect.databases of the store says which must be here)",
};

/** @param stored those of this database in this store, newest first. Pure. */
export function standingOf(
  place: { readonly database: string; readonly store: string },
  stored: readonly BackupOverview[],
  limits: StandingLimits,
): Standing {
  const backups = withoutParts(stored, (each) => each.part === true);
  const points = backups.flatMap(point);
  const isFuture = (each: BackupOverview) => (each.ageMs ?? 0) < -clockTolerance;
  const ahead = backups.filter((each) => each.status === "complete" && isFuture(each));
  const past = points.filter((each) => !ahead.some((other) => other.id === each.id));
  const newest = past[0];
  const found = backups.find((each) => each.id === newest?.id);
  const ageMs = found?.ageMs === undefined || found.ageMs === null ? null : Math.max(0, found.ageMs);
  const isOnlyOdd = stored.length === 0 && limits.none === "warning";
  const broken = backups.filter((each) => each.status === "broken");
  return {
    ...place,
    newest: newest ?? null,
    ageMs,
    maxAgeMs: limits.maxAgeMs,
    overdue: ageMs === null ? !isOnlyOdd : ageMs > limits.maxAgeMs,
    count: points.length,
    broken: broken.length,
    parts: stored.length - backups.length,
    held: stored.filter((each) => each.hold !== null).length,
    bytes: points.reduce((sum, each) => sum + each.bytes, 0),
    warnings: [
      ...(isOnlyOdd ? [noneHere] : []),
      ...ahead.slice(0, 1).map((each) => ({
        kind: "future" as const,
        text: `${each.id} is ${formatDuration(-(each.ageMs ?? 0))} ahead of this machine's clock`,
      })),
      ...(backups[0]?.status === "broken"
        ? [{ kind: "broken" as const, text: `the newest one is broken: ${backups[0].reason ?? ""}` }]
        : []),
      ...sizeWarning(past),
      ...durationWarning(past),
      ...(found?.drill?.verdict === "fail"
        ? [{ kind: "drill-failed" as const, text: "the restore drill of the newest one failed" }]
        : []),
    ],
    history: past.slice(0, limits.last).reverse(),
  };
}

/** How large the newest is, in percent of the median of those before it; undefined where there are too few of them. */
export function sizeShare(newestFirst: readonly Point[]): { percent: number; median: number } | undefined {
  const median = medianBefore(newestFirst, (each) => each.bytes);
  const newest = newestFirst[0];
  if (median === undefined || newest === undefined || median === 0) return undefined;
  return { percent: (newest.bytes / median) * 100, median };
}

function sizeWarning(newestFirst: readonly Point[]): Warning[] {
  const share = sizeShare(newestFirst);
  if (share === undefined || share.percent >= smallerThan) return [];
  const size = formatBytes(newestFirst[0]?.bytes ?? 0);
  const text = `the newest one is much smaller: ${size}, ${share.percent.toFixed(0)}% of the ${formatBytes(share.median)} usual before`;
  return [{ kind: "smaller", text }];
}

function durationWarning(newestFirst: readonly Point[]): Warning[] {
  const median = medianBefore(newestFirst, (each) => each.durationMs);
  const took = newestFirst[0]?.durationMs ?? 0;
  if (median === undefined || took <= median * slower.than || took - median < slower.atLeast) return [];
  const text = `the newest one was much slower: ${formatDuration(took)}, ${formatDuration(median)} usual before`;
  return [{ kind: "slower", text }];
}

function medianBefore(newestFirst: readonly Point[], of: (each: Point) => number): number | undefined {
  const before = newestFirst
    .slice(1, 1 + compared.most)
    .map(of)
    .sort((one, other) => one - other);
  if (before.length < compared.least) return undefined;
  const middle = Math.floor(before.length / 2);
  const upper = before[middle] ?? 0;
  return before.length % 2 === 1 ? upper : ((before[middle - 1] ?? 0) + upper) / 2;
}

function point({ id, status, startedAt, bytes, durationMs }: BackupOverview): Point[] {
  if (status === "broken" || startedAt === null || bytes === null || durationMs === null) return [];
  return [{ id, startedAt, bytes, durationMs }];
}
