import { formatDuration } from "../core/duration.ts";
import { type Json, OpsError } from "../core/errors.ts";
import { parseThreshold } from "../core/threshold.ts";
import type { CheckLimits, Judgement, Measurement } from "./check.ts";
import { judgeByLimits } from "./limits.ts";

/** A weekly drill, and a day to hold it in. */
const usualLimit = parseThreshold("> 8d");
/** Clocks of two machines may differ a little; a drill from further ahead says that one of them is wrong. */
const clockTolerance = 5 * 60_000;

/** What a check of a drill's age needs to know of the newest one. */
export interface HeldDrill {
  readonly verdict: "pass" | "fail";
  readonly reason: string | null;
  /** ISO 8601. */
  readonly startedAt: string;
}

/** A drill that failed counts as none, whatever its age. Throws `E_CLOCK`. */
export function measureDrillAge(
  newest: HeldDrill | undefined,
  now: Date,
  store: string,
  evidence: { readonly [key: string]: Json },
): Measurement {
  if (newest === undefined) return { value: null, shown: `no drill in store ${store}` };
  const seen = { ...evidence, verdict: newest.verdict, startedAt: newest.startedAt };
  if (newest.verdict === "fail") {
    return { value: null, shown: `a failed drill: ${newest.reason}`, evidence: seen };
  }
  const age = now.getTime() - Date.parse(newest.startedAt);
  if (age < -clockTolerance) {
    throw new OpsError("E_CLOCK", `The newest drill is ${formatDuration(-age)} in the future`, {
      hint: "compare this machine's clock with the one that holds the drills",
    });
  }
  return { value: Math.max(0, age), shown: formatDuration(Math.max(0, age)), evidence: seen };
}

/** Pure. Without a limit: a weekly drill. */
export function judgeDrillAge({ value, shown }: Measurement, limits: CheckLimits): Judgement {
  if (typeof value !== "number") return { status: "fail", reason: `the newest drill says: ${shown}` };
  const fail = limits.fail ?? usualLimit;
  return judgeByLimits(value, `newest drill passed ${shown} ago`, { ...limits, fail });
}
