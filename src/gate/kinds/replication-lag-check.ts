import { z } from "zod";
import { counted } from "../../core/counted.ts";
import { formatDuration } from "../../core/duration.ts";
import { OpsError } from "../../core/errors.ts";
import { duration, name, size } from "../../core/schema.ts";
import { formatBytes } from "../../core/size.ts";
import { exceeds, parseThreshold, type Threshold } from "../../core/threshold.ts";
import { requireSight, withCatalog } from "../../postgres-health/catalog.ts";
import { readSlots, type Slot } from "../../postgres-health/slots.ts";
import { readFollowers, type Standby } from "../../postgres-health/standbys.ts";
import { type CheckLimits, defineCheck, type Judgement } from "../../run/check.ts";

const usualLimit = parseThreshold("> 30s");

const input = z.strictObject({
  database: name("The primary, or a standby that is asked how far it is behind itself").optional(),
  standbys: z
    .array(z.string().min(1))
    .default([])
    .describe(
      "Standbys that must be connected, by application_name; only they are measured. Default: all that are",
    ),
  slots: z
    .boolean()
    .default(true)
    .describe("Look at replication slots too: lost ones, and ones nobody reads"),
  "slot-keeps": size("How much of the log a slot may hold back before it counts as failed: 10GiB").optional(),
  timeout: duration("How long it may take; a standby is watched catching up for half of it").prefault("10s"),
});

type Evidence = {
  askedAt: "primary" | "standby";
  standbys: Standby[];
  missing: string[];
  slots: Slot[];
};

/** By time a standby that stands still is only known to be behind by at least what it was watched for. */
export const replicationLagCheck = defineCheck({
  kind: "replication-lag",
  summary: "How far standbys are behind, by time or by bytes, and whether those that must be there are",
  why: "A failover to a standby that is behind loses what it has not received, and reads from it are old.",
  remedy:
    "See pg_stat_replication on the primary: the network, the standby's disk, a paused replay, or a query on the standby that replay waits for.",
  input,
  limitUnits: ["duration", "bytes"],

  async measure(context, { database, standbys: names, slots: looksAtSlots, timeout }) {
    const target = context.environment.database(database);
    const { signal, clock } = context;
    return withCatalog(target, { timeout, signal }, async (catalog) => {
      const { rows: slots, asked } = await readSlots(catalog);
      requireSight(asked);
      if (asked.isStandby && names.length > 0) {
        throw new OpsError(
          "E_STANDBY",
          `Database ${target.name} is a standby now, and only a primary sees all of its standbys`,
        );
      }
      const { askedAt, standbys } = await readFollowers(
        catalog,
        names,
        timeout / 2,
        clock,
        signal,
        asked.isStandby,
      );
      const missing = names.filter((each) => !standbys.some((standby) => standby.name === each));
      const furthest = Math.max(...standbys.map((each) => each.atMostMs ?? each.atLeastMs));
      return {
        value: standbys.length === 0 ? null : furthest,
        shown: standbys.length === 0 ? "no standby" : standbys.map(shown).join(", "),
        evidence: { askedAt, standbys: [...standbys], missing, slots: looksAtSlots ? [...slots] : [] },
      };
    });
  },

  judge({ evidence }, settings, limits) {
    return judge(evidence as unknown as Evidence, settings, limits);
  },
});

function judge(
  { standbys, missing, slots }: Evidence,
  { "slot-keeps": mostKept }: z.output<typeof input>,
  limits: CheckLimits,
): Judgement {
  const { warn } = limits;
  const fail = limits.fail ?? (warn === undefined ? usualLimit : undefined);
  const failed = [
    ...missing.map((each) => `standby ${each} is not connected`),
    ...(standbys.length === 0 && missing.length === 0 ? ["no standby is connected"] : []),
    ...standbys
      .filter((each) => each.state === "not connected")
      .map((each) => `${each.name} is not connected`),
    ...standbys
      .filter((each) => fail !== undefined && against(each, fail) === "beyond")
      .map((each) => `${shown(each)}, limit ${fail?.text}`),
    ...slots
      .filter((each) => each.walStatus === "lost")
      .map((each) => `slot ${each.name} is lost: its reader has to begin anew`),
    ...slots
      .filter((each) => mostKept !== undefined && (each.keptBytes ?? 0) > mostKept)
      .map((each) => `${kept(each)}, limit ${formatBytes(mostKept ?? 0)}`),
  ];
  if (failed.length > 0) return { status: "fail", reason: failed.join("; ") };
  const open = standbys
    .filter((each) => fail !== undefined && against(each, fail) === "open")
    .map((each) => `${shown(each)}: nobody can tell whether that is ${fail?.text}`);
  if (open.length > 0) return { status: "unknown", reason: open.join("; ") };
  const warned = [
    ...standbys
      .filter((each) => warn !== undefined && against(each, warn) !== "within")
      .map((each) => `${shown(each)}, limit ${warn?.text}`),
    ...standbys
      .filter((each) => each.paused)
      .map((each) => `${shown(each)}, and stays so until it is resumed`),
    ...slots
      .filter((each) => each.walStatus === "unreserved")
      .map((each) => `slot ${each.name} is about to be lost`),
    ...slots
      .filter((each) => !each.active && each.walStatus !== "unreserved" && (each.keptBytes ?? 0) > 0)
      .map((each) => `nobody reads ${kept(each)}`),
  ];
  if (warned.length > 0) return { status: "warn", reason: warned.join("; ") };
  return { status: "pass", reason: `${summed(standbys)}, within limit ${(fail ?? warn)?.text}` };
}

function summed(standbys: readonly Standby[]): string {
  if (standbys.length === 1) return standbys.map(shown).join();
  const [worst] = [...standbys].sort(
    (a, b) => (b.atMostMs ?? 0) - (a.atMostMs ?? 0) || (b.lagBytes ?? 0) - (a.lagBytes ?? 0),
  );
  return `${counted(standbys.length, "standby")}, furthest: ${worst === undefined ? "" : shown(worst)}`;
}

/** Where what is known of a standby lies: `open` where the limit is between what it is at least and at most behind. */
function against({ lagBytes, atLeastMs, atMostMs }: Standby, limit: Threshold): "beyond" | "within" | "open" {
  if (limit.unit === "bytes") {
    if (lagBytes === null) return "open";
    return exceeds(lagBytes, limit) ? "beyond" : "within";
  }
  const grows = limit.operator === ">" || limit.operator === ">=";
  if (grows && exceeds(atLeastMs, limit)) return "beyond";
  if (atMostMs === null) return "open";
  const most = exceeds(atMostMs, limit);
  if (!grows && exceeds(atLeastMs, limit) !== most) return "open";
  if (grows && most) return atLeastMs === atMostMs ? "beyond" : "open";
  return most ? "beyond" : "within";
}

function shown({ name, state, paused, lagBytes, atLeastMs, atMostMs }: Standby): string {
  const what = [
    ...(paused ? ["paused"] : []),
    ...(state === "streaming" ? [] : [state === "archive" ? "fed by an archive" : state]),
  ];
  const how = what.length === 0 ? "" : ` (${what.join(", ")})`;
  const bytes = lagBytes === null || lagBytes === 0 ? "" : ` and ${formatBytes(lagBytes)}`;
  if (atMostMs === null) return `${name}${how} is ${formatDuration(atLeastMs)} or more${bytes} behind`;
  if (atMostMs === 0 && lagBytes === 0) return `${name}${how} has everything`;
  const most = atLeastMs === atMostMs ? "" : "at most ";
  return `${name}${how} is ${most}${formatDuration(atMostMs)}${bytes} behind`;
}

function kept({ name, keptBytes }: Slot): string {
  return `slot ${name}, for which ${formatBytes(keptBytes ?? 0)} of log are kept`;
}
