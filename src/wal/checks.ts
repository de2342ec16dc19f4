import { z } from "zod";
import { formatDuration } from "../core/duration.ts";
import { name } from "../core/schema.ts";
import { formatBytes } from "../core/size.ts";
import { exceeds, parseThreshold, type Threshold } from "../core/threshold.ts";
import { type Check, defineCheck } from "../run/check.ts";
import { notArchiving, slotGone } from "./standing.ts";
import { readStatus } from "./status.ts";

/** Several tries of an archiver, which are a minute apart. */
const usualLimit = parseThreshold("> 5m");

const evidenceSchema = z.object({
  lagMs: z.number().nullable(),
  lagBytes: z.number(),
  receiver: z.object({ slot: z.string(), active: z.boolean() }).nullable(),
});

const walLag = defineCheck({
  kind: "wal-lag",
  summary: "How old what the stores of a cluster's log lack may be, or how many bytes of it they lack",
  why: "What is not archived is lost with the server, and pg_wal grows until its disk is full.",
  remedy:
    "See ops wal status: the store it names cannot be written to, or archive_command fails as the server's log says.",
  input: z.strictObject({ database: name("The database whose cluster is archived").optional() }),
  limitUnits: ["duration", "bytes"],

  async measure(context, input) {
    const status = await readStatus(context, input.database);
    const { archives, receiver, stores, lagMs, lost } = status;
    const lagBytes = Math.max(0, ...stores.map((each) => each.lagBytes ?? 0));
    const { database, timeline, position, isOurs, waiting, waitingMs, failing, walBytes } = status;
    const standings = stores.map(({ bytes: _bytes, timelines: _timelines, ...each }) => each);
    const where = { database, timeline, position };
    const evidence = {
      ...where,
      isOurs,
      lagMs,
      lagBytes,
      waitingMs,
      waiting,
      failing,
      walBytes,
      receiver,
      stores: standings,
    };
    const none = (shown: string) => ({ value: null, shown, evidence });
    if (!archives && receiver?.active !== true) return none(`${notArchiving} and nothing receives`);
    if (receiver !== null && receiver.keptBytes === null) return none(slotGone(receiver));
    const broken = stores.find((each) => each.error !== null);
    if (broken !== undefined) return none(`store ${broken.store}: ${broken.error}`);
    const empty = stores.find((each) => each.lagBytes === null);
    if (empty !== undefined) return none(`store ${empty.store} has nothing of this timeline`);
    const [loss] = lost;
    if (loss !== undefined) return none(loss);
    const time = lagMs === null ? "an unknown time" : formatDuration(lagMs);
    return { value: lagMs ?? "unknown", shown: `${time} and ${formatBytes(lagBytes)}`, evidence };
  },

  judge({ value, shown, evidence }, _input, limits) {
    const measured = evidenceSchema.safeParse(evidence).data;
    if (value === null || measured === undefined)
      return { status: "fail", reason: `the log is not archived: ${shown}` };
    const { lagMs, lagBytes, receiver } = measured;
    const fail = limits.fail ?? usualLimit;
    const reason = `the archive is ${shown} behind`;
    const isTimed = [fail, limits.warn].some((each) => each !== undefined && each.unit !== "bytes");
    if (lagMs === null && isTimed) return { status: "unknown", reason };
    const beyond = (limit: Threshold) => exceeds(limit.unit === "bytes" ? lagBytes : (lagMs ?? 0), limit);
    if (beyond(fail)) return { status: "fail", reason: `${reason}, limit ${fail.text}` };
    if (limits.warn !== undefined && beyond(limits.warn))
      return { status: "warn", reason: `${reason}, warns at ${limits.warn.text}` };
    if (receiver?.active === false)
      return { status: "warn", reason: `nothing receives from the slot ${receiver.slot}; ${reason}` };
    return { status: "pass", reason: `${reason}, limit ${fail.text}` };
  },
});

export const checks: readonly Check[] = [walLag];
