import { z } from "zod";
import { belongsTo, isPart, type Owner, readCatalog, withoutParts } from "../archive/catalog.ts";
import { newestDrill } from "../archive/drill-record.ts";
import type { StoreTarget } from "../config/environment.ts";
import { formatDuration } from "../core/duration.ts";
import { type Json, OpsError } from "../core/errors.ts";
import { name } from "../core/schema.ts";
import { formatBytes } from "../core/size.ts";
import { parseThreshold, type Threshold } from "../core/threshold.ts";
import { trustedSignersOf } from "../crypto/trusted-signers.ts";
import { type Check, defineCheck } from "../run/check.ts";
import { judgeDrillAge, measureDrillAge } from "../run/drill-age.ts";
import { judgeByLimits } from "../run/limits.ts";
import type { ObjectStore } from "../storage/object-store.ts";
import { openStore } from "../storage/open-store.ts";
import { readOverview } from "./overview.ts";
import { sizeShare, smallerThan, standingOf } from "./standing.ts";

/** Where neither the gate nor the store says more: a daily backup, and an hour for it to run in. */
const usualLimit = parseThreshold("> 25h");
/** Much smaller than the ones before: something is missing, or somebody has deleted a lot. */
const usualWarning = parseThreshold(`< ${smallerThan}%`);
/** Clocks of two machines may differ a little; a backup from further ahead says that one of them is wrong. */
const clockTolerance = 5 * 60_000;

const backupAge = defineCheck({
  kind: "backup-age",
  summary: "Age of the newest backup that is whole, counted from the moment its data is from",
  why: "What was written since the newest backup is lost where the server and its log are.",
  remedy: "Run ops backup create, and see with ops backup status and ops schedule list why none was made.",
  input: z.strictObject({
    store: name("The store it is in").optional(),
    database: name("The database it is of").optional(),
  }),

  async measure(context, input) {
    const target = context.environment.store(input.store);
    const owner = {
      environment: context.environment.name,
      database: context.environment.database(input.database).name,
    };
    const store = openStore(target);
    const own = (await readCatalog(store, await trustedSignersOf(target))).filter((each) =>
      belongsTo(each, owner),
    );
    const all = withoutParts(own, isPart);
    const broken = all.filter((each) => each.status === "broken").map((each) => each.id);
    const newest = all.find((each) => each.status === "complete");
    const where = { store: target.name, database: owner.database, broken, maxAgeMs: target.expect.maxAge };
    if (newest === undefined) {
      const but = broken.length === 0 ? "" : ` that is whole (${broken.length} broken)`;
      return { value: null, shown: `no backup${but} in store ${target.name}`, evidence: where };
    }
    const age = context.clock.now().getTime() - Date.parse(newest.manifest.startedAt);
    if (age < -clockTolerance) {
      throw new OpsError("E_CLOCK", `Backup ${newest.id} is ${formatDuration(-age)} in the future`, {
        hint: "compare this machine's clock with the one that makes the backups",
      });
    }
    return {
      value: Math.max(0, age),
      shown: formatDuration(Math.max(0, age)),
      evidence: { ...where, backup: newest.id, startedAt: newest.manifest.startedAt },
    };
  },

  judge({ value, shown, evidence }, _input, limits) {
    if (typeof value !== "number") return { status: "fail", reason: `there is ${shown}` };
    const fail = limits.fail ?? expectedAge(evidence);
    return judgeByLimits(value, `newest backup is ${shown} old`, { ...limits, fail });
  },
});

/** What the store expects, where the gate says nothing. */
function expectedAge(evidence: Json | undefined): Threshold {
  const { maxAgeMs } = z.object({ maxAgeMs: z.number() }).safeParse(evidence).data ?? {};
  if (maxAgeMs === undefined || maxAgeMs === usualLimit.value) return usualLimit;
  return { operator: ">", value: maxAgeMs, unit: "duration", text: `> ${formatDuration(maxAgeMs)}` };
}

const backupSize = defineCheck({
  kind: "backup-size",
  summary: "Size of the newest whole backup, in percent of the median of the five before it",
  input: z.strictObject({
    store: name("The store it is in").optional(),
    database: name("The database it is of").optional(),
  }),
  limitUnits: ["percent"],
  why: "A backup that is much smaller than the ones before lacks data, or somebody has deleted a lot.",
  remedy:
    "Look into it with ops backup show and try it with ops backup verify --level drill, before the older ones expire.",

  async measure(context, input) {
    const target = context.environment.store(input.store);
    const database = context.environment.database(input.database).name;
    const backups = (await readOverview(target, context.clock.now())).filter(
      (each) => each.database === database && each.environment === context.environment.name,
    );
    const standing = standingOf({ database, store: target.name }, backups, {
      maxAgeMs: target.expect.maxAge,
      last: 6,
    });
    const share = sizeShare([...standing.history].reverse());
    if (share === undefined) return { value: null, shown: "too few backups to compare" };
    const percent = Math.round(share.percent * 10) / 10;
    return {
      value: percent,
      shown: `${percent}% of ${formatBytes(share.median)}`,
      evidence: {
        store: target.name,
        database,
        backup: standing.newest?.id ?? null,
        bytes: standing.newest?.bytes ?? null,
        medianBytes: share.median,
      },
    };
  },

  judge({ value, shown }, _input, limits) {
    if (typeof value !== "number") return { status: "pass", reason: shown };
    const warn = limits.warn ?? usualWarning;
    return judgeByLimits(value, `newest backup has ${shown}, usual before`, { ...limits, warn });
  },
});

const drillAge = defineCheck({
  kind: "drill-age",
  summary: "Age of the newest restore drill of the whole database that passed (backup verify --level drill)",
  why: "A backup that nobody has restored is a hope.",
  remedy:
    "Run ops backup verify --level drill; where it fails, make a new backup first and mend the cause after.",
  input: z.strictObject({
    store: name("The store whose backups were drilled").optional(),
    database: name("The database they are of").optional(),
  }),
  limitUnits: ["duration"],

  async measure(context, input) {
    const target = context.environment.store(input.store);
    const store = openStore(target);
    const owner = {
      environment: context.environment.name,
      database: context.environment.database(input.database).name,
    };
    const newest = await newestDrill(store, owner);
    // A drill of a part says nothing of the whole, where there is one.
    const counts = newest?.whole !== false || !(await hasWhole(store, target, owner));
    const counting = counts ? newest : await newestDrill(store, owner, "whole");
    if (newest !== undefined && counting === undefined) {
      return {
        value: null,
        shown: `no drill of the whole database in store ${target.name}, only of a part of it`,
        evidence: { backup: newest.backup, whole: false },
      };
    }
    return measureDrillAge(counting, context.clock.now(), target.name, { backup: counting?.backup ?? null });
  },

  judge: (measurement, _input, limits) => judgeDrillAge(measurement, limits),
});

/** Whether the store has a backup of the whole database, as `withoutParts` asks it. */
async function hasWhole(store: ObjectStore, target: StoreTarget, owner: Owner): Promise<boolean> {
  const catalog = await readCatalog(store, await trustedSignersOf(target));
  return catalog.some((each) => belongsTo(each, owner) && each.status === "complete" && !isPart(each));
}

export const checks: readonly Check[] = [backupAge, backupSize, drillAge];
