import { z } from "zod";
import type { Judgement } from "../run/check.ts";
import type { ConfiguredCheck } from "../run/configured-check.ts";
import type { CheckResult } from "../run/measure-check.ts";
import type { Trigger } from "./settings.ts";

/** How long a trigger's checks have been failing, at every look. */
export const streak = z.object({
  /** Looks in a row. */
  looks: z.int().min(0),
  /** Milliseconds from the first of them to the newest. */
  ms: z.number().min(0),
});
export type Streak = z.output<typeof streak>;
export type Streaks = Readonly<Record<string, Streak>>;

export interface Judged {
  readonly streaks: Streaks;
  /** The triggers that fire, with what failed. */
  readonly fired: readonly { readonly trigger: Trigger; readonly reasons: readonly string[] }[];
  /** Whether a trigger has begun to count, and has not fired. */
  readonly isCounting: boolean;
}

/**
 * One look more. Pure.
 *
 * @param since milliseconds since the look before; undefined where there was a gap, which breaks every streak: what was
 * not seen was neither good nor bad
 */
export function judgeLook(
  before: Streaks,
  triggers: readonly Trigger[],
  checks: readonly ConfiguredCheck[],
  results: readonly CheckResult[],
  since: number | undefined,
): Judged {
  const streaks: Record<string, Streak> = {};
  const fired: { trigger: Trigger; reasons: string[] }[] = [];
  for (const trigger of triggers) {
    const reasons = failuresOf(trigger, checks, results);
    const earlier = since === undefined ? undefined : before[trigger.text];
    const goesOn = earlier !== undefined && earlier.looks > 0;
    const now = {
      looks: reasons.length === 0 ? 0 : (earlier?.looks ?? 0) + 1,
      ms: reasons.length === 0 || !goesOn ? 0 : earlier.ms + (since ?? 0),
    };
    streaks[trigger.text] = now;
    if (now.looks > 0 && isEnough(trigger, now)) fired.push({ trigger, reasons });
  }
  const isCounting = fired.length === 0 && Object.values(streaks).some(({ looks }) => looks > 0);
  return { streaks, fired, isCounting };
}

function isEnough({ needs }: Trigger, { looks, ms }: Streak): boolean {
  return "looks" in needs ? looks >= needs.looks : ms >= needs.ms;
}

/** What fails now, in a clause each. */
function failuresOf(
  trigger: Trigger,
  checks: readonly ConfiguredCheck[],
  results: readonly CheckResult[],
): string[] {
  return results.flatMap((result) => {
    if (!trigger.checks.includes(result.id)) return [];
    const configured = checks.find(({ id }) => id === result.id);
    if (!trigger.isOwn || configured === undefined) {
      return result.counts === "fail" ? [`${result.id}: ${result.reason}`] : [];
    }
    const { status, reason } = judgedBy(trigger.limit, configured, result);
    const counts = status === "unknown" ? configured.unknown : status;
    // Whoever overrides a check of the gate does so for its watch as well.
    return counts === "fail" && result.override === undefined ? [`${result.id}: ${reason}`] : [];
  });
}

/** What could not be measured is judged as the gate has done it, whatever the limit. */
function judgedBy(
  limit: Trigger["limit"],
  { check, input }: ConfiguredCheck,
  result: CheckResult,
): Judgement {
  if (limit === undefined || result.value === null) return result;
  const { value, shown, evidence } = result;
  return check.judge({ value, shown, ...(evidence === undefined ? {} : { evidence }) }, input, {
    fail: limit,
  });
}

/** Milliseconds that a trigger takes from the first failing look to its firing. */
export function timeToFire({ needs }: Trigger, every: number): number {
  return "ms" in needs ? needs.ms + every : (needs.looks - 1) * every;
}
