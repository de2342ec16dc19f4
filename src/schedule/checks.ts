import { z } from "zod";
import { formatDuration } from "../core/duration.ts";
import { OpsError } from "../core/errors.ts";
import { name } from "../core/schema.ts";
import { type Check, defineCheck } from "../run/check.ts";
import { judgeByLimits } from "../run/limits.ts";
import { Ledger } from "./ledger.ts";
import { schedulesOf } from "./schedule.ts";
import { ageOf } from "./silence.ts";

const scheduleOverdue = defineCheck({
  kind: "schedule-overdue",
  summary: "Time since the last success of a schedule, or of the one of all that is furthest behind",
  why: "What runs by itself also stops by itself, and nobody notices until it is needed.",
  remedy: "See ops schedule list for its last failure, and run it by hand once to see why.",
  input: z.strictObject({
    schedule: name("A schedule's name; without it every one is looked at").optional(),
  }),
  limitUnits: ["duration"],

  async measure(context, input) {
    const { environment, stateDirectory } = context;
    const now = context.clock.now();
    const names = input.schedule === undefined ? [] : [input.schedule];
    const schedules = schedulesOf(environment, names, now);
    if (schedules.length === 0 || !Ledger.exists(stateDirectory)) {
      throw new OpsError("E_SCHEDULE_UNSEEN", "ops schedule run-due was never called on this machine", {
        hint: "call it every minute: ops schedule install --cron",
      });
    }
    const ledger = Ledger.openToRead(stateDirectory, environment.name);
    try {
      const all = schedules.map((schedule) => {
        const age = ageOf(ledger, schedule, now.getTime());
        if (age === undefined) {
          throw new OpsError("E_SCHEDULE_UNSEEN", `No run-due has seen the schedule ${schedule.name} yet`, {
            hint: "call it every minute: ops schedule install --cron",
          });
        }
        return { schedule: schedule.name, ms: age.ms, overdue: age.overdue, limit: schedule.overdueAfter };
      });
      const overdue = all.filter((each) => each.overdue);
      const [worst] = [...(overdue.length > 0 ? overdue : all)].sort((a, b) => b.ms - a.ms);
      return {
        value: worst?.ms ?? null,
        shown: `${worst?.schedule}: ${formatDuration(worst?.ms ?? 0)} since its last success`,
        evidence: { schedules: all, overdue: overdue.map((each) => each.schedule) },
      };
    } finally {
      ledger.close();
    }
  },

  judge({ value, shown, evidence }, _input, limits) {
    const { overdue } = evidence as { overdue: string[] };
    if (typeof value !== "number") return { status: "unknown", reason: "nothing was measured" };
    if (limits.fail === undefined && overdue.length > 0)
      return { status: "fail", reason: `overdue: ${overdue.join(", ")} (${shown})` };
    return judgeByLimits(value, shown, limits);
  },
});

export const checks: readonly Check[] = [scheduleOverdue];
