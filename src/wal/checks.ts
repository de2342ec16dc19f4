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
  why: "What is not archived is lost with the server, and pg_wal grows until its disk is full.",
  remedy:
    "See ops wal status: the store it names cannot be written to, or archive_command fails as the server's log says.",
  input: z.strictObject({ database: name("The database whose cluster is archived").optional() }),
  limitUnits: ["duration", "bytes"],

  async measure(context, input) {
    const status = await readStatus(context, input.database);
    const { archives, receiver, stores } = status;
    const waitingMs = Math.max(status.waitingMs, receiver?.lagMs ?? 0);
    const lagBytes = Math.max(0, ...stores.map((each) => each.lagBytes ?? 0));
    const { database, timeline, position, waiting, failing, walBytes } = status;
    const standings = stores.map(({ store, lagBytes, error }) => ({ store, lagBytes, error }));
    const where = { database, timeline, position };
    const evidence = {
      ...where,
      waitingMs,
      lagBytes,
      waiting,
      failing,
      walBytes,
      receiver,
      stores: standings,
    };
    const none = (shown: string) => ({ value: null, shown, evidence });
    if (!archives && receiver?.active !== true) return none(`${notArchiving} and nothing receives`);
    const broken = stores.find((each) => each.error !== null);
    if (broken !== undefined) return none(`store ${broken.store}: ${broken.error}`);
    const empty = stores.find((each) => each.lagBytes === null);
    if (empty !== undefined) return none(`store ${empty.store} has nothing of this timeline`);
    return { value: waitingMs, shown: `${formatDuration(waitingMs)} and ${formatBytes(lagBytes)}`, evidence };
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
