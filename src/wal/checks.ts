import { z } from "zod";
import { formatDuration } from "../core/duration.ts";
import { name } from "../core/schema.ts";
import { formatBytes } from "../core/size.ts";
import { exceeds, parseThreshold, type Threshold } from "../core/threshold.ts";
import { type Check, defineCheck } from "../run/check.ts";
import { notArchiving } from "./standing.ts";
import { readStatus } from "./status.ts";

/** Several tries of an archiver, which are a minute apart. */
const usualLimit = parseThreshold("> 5m");

const evidenceSchema = z.object({ waitingMs: z.number(), lagBytes: z.number() });

const walLag = defineCheck({
  kind: "wal-lag",
  summary: "How long the oldest finished segment waits to be archived, or how many bytes a store is behind",
  input: z.strictObject({ database: name("The database whose cluster is archived").optional() }),
  limitUnits: ["duration", "bytes"],

  async measure(context, input) {
    const { archives, receiver, waitingMs: filesMs, stores } = await readStatus(context, input.database);
    const broken = stores.find((each) => each.error !== null);
    if (!archives && receiver?.active !== true)
      return { value: null, shown: `${notArchiving} and nothing receives` };
    const waitingMs = Math.max(filesMs, receiver?.lagMs ?? 0);
    if (broken !== undefined) return { value: null, shown: `store ${broken.store}: ${broken.error}` };
    const empty = stores.find((each) => each.lagBytes === null);
    if (empty !== undefined)
      return { value: null, shown: `store ${empty.store} has nothing of this timeline` };
    const lagBytes = Math.max(...stores.map((each) => each.lagBytes ?? 0));
    return {
      value: waitingMs,
      shown: `${formatDuration(waitingMs)} and ${formatBytes(lagBytes)}`,
      evidence: { waitingMs, lagBytes },
    };
  },

  judge({ value, shown, evidence }, _input, limits) {
    const measured = evidenceSchema.safeParse(evidence).data;
    if (value === null || measured === undefined)
      return { status: "fail", reason: `the log is not archived: ${shown}` };
    const beyond = (limit: Threshold) =>
      exceeds(limit.unit === "bytes" ? measured.lagBytes : measured.waitingMs, limit);
    const fail = limits.fail ?? usualLimit;
    const reason = `the archive is ${shown} behind`;
    if (beyond(fail)) return { status: "fail", reason: `${reason}, limit ${fail.text}` };
    if (limits.warn !== undefined && beyond(limits.warn))
      return { status: "warn", reason: `${reason}, warns at ${limits.warn.text}` };
    return { status: "pass", reason: `${reason}, limit ${fail.text}` };
  },
});

export const checks: readonly Check[] = [walLag];
