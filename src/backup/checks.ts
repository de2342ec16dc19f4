import { z } from "zod";
import { belongsTo, readCatalog } from "../archive/catalog.ts";
import { formatDuration } from "../core/duration.ts";
import { OpsError } from "../core/errors.ts";
import { name } from "../core/schema.ts";
import { exceeds, parseThreshold } from "../core/threshold.ts";
import { type Check, defineCheck } from "../run/check.ts";
import { openStore } from "../storage/open-store.ts";

/** A daily backup, and an hour for it to run in. */
const defaultLimit = parseThreshold("> 25h");
/** Clocks of two machines may differ a little; a backup from further ahead says that one of them is wrong. */
const clockTolerance = 5 * 60_000;

const backupAge = defineCheck({
  kind: "backup-age",
  summary: "Age of the newest backup that is whole, counted from the moment its data is from",
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
    const all = (await readCatalog(store)).filter((each) => belongsTo(each, owner));
    const broken = all.filter((each) => each.status === "broken").map((each) => each.id);
    const newest = all.find((each) => each.status === "complete");
    const where = { store: target.name, database: owner.database, broken };
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

  judge({ value, shown }, _input, limits) {
    if (typeof value !== "number") return { status: "fail", reason: `there is ${shown}` };
    const fail = limits.fail ?? defaultLimit;
    if (exceeds(value, fail))
      return { status: "fail", reason: `newest backup is ${shown} old, limit ${fail.text}` };
    if (limits.warn !== undefined && exceeds(value, limits.warn)) {
      return { status: "warn", reason: `newest backup is ${shown} old, warns at ${limits.warn.text}` };
    }
    return { status: "pass", reason: `newest backup is ${shown} old, limit ${fail.text}` };
  },
});

export const checks: readonly Check[] = [backupAge];
