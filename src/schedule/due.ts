import { createHash } from "node:crypto";
import type { CronExpression } from "../core/cron-expression.ts";

/** Later than this a run is a missed one, in milliseconds: some ticks may fail to come while the machine is busy. */
export const onTime = 5 * 60_000;

export interface Timing {
  readonly cron: CronExpression;
  /** Milliseconds. */
  readonly jitter: number;
  /** What the jitter of this schedule on this machine is drawn from. */
  readonly seed: string;
  readonly catchUp: boolean;
  /** Milliseconds. */
  readonly catchUpWithin: number;
}

/** What is to be done at a moment. Times in milliseconds since 1970. */
export type Decision =
  | { readonly kind: "wait" }
  | { readonly kind: "run"; readonly dueAt: number; readonly late: number }
  /** Too late for it. */
  | { readonly kind: "missed"; readonly dueAt: number; readonly late: number };

/**
 * The newest time after `handled` whose start has come; older ones that nobody saw are one with it, so that a machine
 * that was off for a week runs once.
 */
export function decide(timing: Timing, handled: number, now: Date): Decision {
  for (const time of timing.cron.latest(now, new Date(handled))) {
    const dueAt = time.getTime();
    const late = now.getTime() - startOf(timing, dueAt);
    if (late < 0) continue;
    const runs = late <= onTime || (timing.catchUp && late <= timing.catchUpWithin);
    return { kind: runs ? "run" : "missed", dueAt, late };
  }
  return { kind: "wait" };
}

/** The next start after `now`, and the time that it is for. */
export function nextStart(timing: Timing, now: Date): { dueAt: number; startsAt: number } | undefined {
  // A time that has come, but whose jitter has not passed yet, is still to come.
  for (const time of timing.cron.next(new Date(now.getTime() - timing.jitter - 1000), 100)) {
    const startsAt = startOf(timing, time.getTime());
    if (startsAt > now.getTime()) return { dueAt: time.getTime(), startsAt };
  }
  return undefined;
}

/** When what is due at a time starts: later by its jitter, whole seconds, the same whenever it is asked. */
export function startOf(timing: Timing, dueAt: number): number {
  const seconds = Math.floor(timing.jitter / 1000);
  if (seconds === 0) return dueAt;
  const hash = createHash("sha256").update(`${timing.seed}\n${dueAt}`).digest();
  return dueAt + (hash.readUIntBE(0, 6) % (seconds + 1)) * 1000;
}
