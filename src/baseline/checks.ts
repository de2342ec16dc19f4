import { z } from "zod";
import { formatDuration } from "../core/duration.ts";
import { OpsError } from "../core/errors.ts";
import { duration, name } from "../core/schema.ts";
import { type Check, defineCheck } from "../run/check.ts";
import { fromInput, limitsInput } from "./compare.ts";
import { type Comparison, compareWithBaseline } from "./comparison.ts";

/** What does not hold for the whole interval of what it may be does not pass; what nobody knows is unknown. */
const baseline = defineCheck({
  kind: "baseline",
  summary: "Whether what is measured now is no worse than a baseline allows",
  why: "What becomes a little slower with each release is slow after ten of them, and no single one did it.",
  remedy:
    "Look at what changed since the commit of the baseline; record a new one only where it is meant to be so.",
  limitUnits: [],
  input: z.strictObject({
    baseline: name("The baseline"),
    from: fromInput,
    limits: limitsInput,
    "max-age": duration("How old the newest result of a load may be").prefault("24h"),
  }),

  async measure(context, input) {
    const found = await compareWithBaseline(context, input.baseline, {
      from: input.from,
      limits: input.limits,
    });
    const age = found.madeAt === null ? 0 : context.clock.now().getTime() - Date.parse(found.madeAt);
    if (age > input["max-age"]) {
      const old = `the newest ${found.from} is ${formatDuration(age)} old`;
      throw new OpsError("E_BASELINE", `${old}, ${formatDuration(input["max-age"])} is allowed`, {
        hint: "make the load again",
        retryable: false,
      });
    }
    const held = found.limits.filter(({ status }) => status === "pass").length;
    return {
      value: found.verdict,
      shown: `${held} of ${found.limits.length} limits hold`,
      evidence: JSON.parse(JSON.stringify(found)),
    };
  },

  judge({ shown, evidence }) {
    const { verdict, limits } = evidence as Comparison;
    const reason = limits
      .filter(({ status }) => (verdict === "pass" ? true : status === verdict))
      .map((each) => `${each.limit}: ${each.reason}`)
      .join("; ");
    return { status: verdict, reason: `${shown}; ${reason}` };
  },
});

export const checks: readonly Check[] = [baseline];
