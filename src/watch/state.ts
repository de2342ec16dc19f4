import { z } from "zod";
import { series } from "./series.ts";
import { streak } from "./streaks.ts";

/** Everything that a watch knows of itself: its checkpoints in the journal and the file beside it. Bounded in size. */

const status = z.enum(["pass", "warn", "fail", "unknown"]);

/** What one check did over the whole watch. */
export const checkTally = z.object({
  id: z.string(),
  unit: z.enum(["percent", "duration", "bytes", "number"]).describe("Of its values"),
  worst: z.enum(["most", "least"]).describe("Which end of its values is the bad one"),
  looks: z.number(),
  counts: z.record(status, z.number()),
  failures: z.number().describe("Times that it began to fail"),
  failingMs: z.number().describe("Milliseconds from failing look to failing look, in all"),
  longestMs: z.number(),
  /** Of the failure that goes on; null: it does not fail. */
  presentMs: z.number().nullable(),
  least: z.number().nullable(),
  most: z.number().nullable(),
  series,
  newest: z.object({ status, counts: z.string(), reason: z.string() }).nullable(),
});
export type CheckTally = z.output<typeof checkTally>;

const badLook = z.object({
  at: z.iso.datetime(),
  /** What failed, a clause for each. */
  reasons: z.array(z.string()),
});
export type BadLook = z.output<typeof badLook>;

const gap = z.object({
  from: z.iso.datetime(),
  to: z.iso.datetime(),
  missed: z.number().describe("Looks that were not made"),
});
export type Gap = z.output<typeof gap>;

export const actionState = z.object({
  words: z.array(z.string()),
  /**
   * `intended`: it has not begun; `started`: it may be under way; `retrying`: a lock was held, it begins again;
   * `unknown`: it was begun, and nobody can tell how it ended.
   */
  state: z.enum(["intended", "started", "retrying", "done", "failed", "unknown"]),
  attempt: z.int(),
  intendedAt: z.iso.datetime(),
  /** When a lock was first held by somebody else. */
  lockedSince: z.iso.datetime().nullable(),
  endedAt: z.iso.datetime().nullable(),
  process: z.object({ host: z.string(), pid: z.number(), pidStartedAt: z.string().nullable() }).nullable(),
  exitCode: z.number().nullable(),
  /** Whether it was begun a second time because nobody knew how the first one ended. */
  repeated: z.boolean(),
  problem: z.string().nullable(),
  output: z.array(z.string()).describe("Its last lines"),
});
export type ActionState = z.output<typeof actionState>;

export const watchState = z.object({
  kind: z.literal("watch"),
  /** Of its files: the run, and what tells several watches of one run apart. */
  id: z.string(),
  title: z.string(),
  gate: z.string(),
  startedAt: z.iso.datetime(),
  /** By the wall clock. */
  until: z.iso.datetime(),
  everyMs: z.number(),
  phase: z.enum(["watching", "acting", "over"]),
  verdict: z.enum(["pass", "triggered", "stopped", "unseen"]).nullable(),
  /** Grows with every change; the newer one of two copies counts. */
  version: z.int(),
  looks: z.int(),
  noGoes: z.int(),
  gaps: z.object({ count: z.int(), missed: z.number(), newest: z.array(gap) }),
  lastLookAt: z.iso.datetime().nullable(),
  streaks: z.record(z.string(), streak),
  checks: z.array(checkTally),
  bad: z.object({ count: z.int(), first: z.array(badLook), newest: z.array(badLook) }),
  trigger: z
    .object({ at: z.iso.datetime(), triggers: z.array(z.string()), reasons: z.array(z.string()) })
    .nullable(),
  action: actionState.nullable(),
  stopped: z.object({ by: z.string(), reason: z.string().nullable(), at: z.iso.datetime() }).nullable(),
});
export type WatchState = z.output<typeof watchState>;
