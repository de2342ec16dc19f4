import { z } from "zod";
import { formatDuration } from "../core/duration.ts";
import { name } from "../core/schema.ts";
import { type Check, defineCheck } from "../run/check.ts";
import { judgeDrillAge, measureDrillAge } from "../run/drill-age.ts";
import { judgeByLimits } from "../run/limits.ts";
import { newestArchiveDrill } from "../wal-archive/drill-record.ts";
import { drillStore } from "./drill-store.ts";
import { newestTimeline } from "./line.ts";
import { openArchive } from "./open-archive.ts";
import { openWindow, windowsOf } from "./window.ts";
import { readWindowEnd, windowEndSchema } from "./window-end.ts";

/** Milliseconds. A window that ended longer ago than that does not reach what one would want back. */
const longestBehind = 3_600_000;

const evidenceSchema = z.object({ end: windowEndSchema });

const pitrWindow = defineCheck({
  kind: "pitr-window",
  summary: "How far back a cluster can be restored to any moment, without a gap up to the end of its archive",
  why: "A mistake is often found days later, and only a moment within the window can be gone back to.",
  remedy:
    "Run ops pitr base create, which begins a new window, and see with ops wal status what is missing from the archive.",
  input: z.strictObject({
    database: name("A database of the cluster").optional(),
    store: name("The store; default: the first one of its pitr settings").optional(),
  }),
  limitUnits: ["duration"],

  async measure(context, input) {
    const database = context.environment.database(input.database);
    const opened = await openArchive(database, input.store, context.signal);
    const archive = await opened.state();
    const { windows } = windowsOf(archive);
    const open = openWindow(windows, newestTimeline(archive));
    const where = { store: opened.store, windows };
    if (open === undefined) {
      const gap = windows.find((each) => each.missing !== null)?.missing;
      const why =
        gap == null ? "no base backup with its WAL" : `a gap at WAL ${gap} and no base backup behind it`;
      return { value: null, shown: `${why} in store ${opened.store}`, evidence: where };
    }
    const end = await readWindowEnd(database, archive, open, context.signal);
    const evidence = { ...where, end };
    const age = context.clock.now().getTime() - Date.parse(open.from);
    const length = Math.max(0, age - (end.behindMs ?? 0));
    return { value: length, shown: formatDuration(length), evidence };
  },

  judge({ value, shown, evidence }, _input, limits) {
    if (typeof value !== "number") return { status: "fail", reason: `there is ${shown}` };
    const end = evidenceSchema.safeParse(evidence).data?.end;
    if (end === undefined) throw new Error("a window without its end");
    const { behindMs, missing, why } = end;
    const lacks = missing === null ? "" : `: the archive lacks ${missing}`;
    if (behindMs === null) {
      if (missing !== null) return { status: "fail", reason: `the window has ended${lacks}` };
      return { status: "unknown", reason: `where the window ends is not known: ${why}` };
    }
    if (behindMs > longestBehind)
      return { status: "fail", reason: `the window ended ${formatDuration(behindMs)} ago${lacks}` };
    return judgeByLimits(value, `the window goes back ${shown}`, limits);
  },
});

const pitrDrillAge = defineCheck({
  kind: "pitr-drill-age",
  summary: "Age of the newest drill of point-in-time recovery that passed (pitr drill)",
  why: "Only a recovery that was held shows that base backup, log and keys fit together, and how long it takes.",
  remedy: "Run ops pitr drill; where it fails, run ops pitr base create first and mend the cause after.",
  input: z.strictObject({
    database: name("A database of the cluster").optional(),
    store: name("The store; default: the first one of its pitr settings").optional(),
  }),
  limitUnits: ["duration"],

  async measure(context, input) {
    const database = context.environment.database(input.database);
    const { name, store } = drillStore(context, database, input.store);
    const owner = { environment: context.environment.name, database: database.name };
    const newest = await newestArchiveDrill(store, owner);
    return measureDrillAge(newest, context.clock.now(), name, {
      base: newest?.base ?? null,
      target: newest?.target ?? null,
      recoveryTimeMs: newest?.recoveryTimeMs ?? null,
      recoveryPointMs: newest?.recoveryPointMs ?? null,
    });
  },

  judge: (measurement, _input, limits) => judgeDrillAge(measurement, limits),
});

export const checks: readonly Check[] = [pitrWindow, pitrDrillAge];
