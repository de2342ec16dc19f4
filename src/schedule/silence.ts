import type { Environment } from "../config/environment.ts";
import type { Ledger } from "./ledger.ts";
import { recordSilence } from "./ledger-writes.ts";
import { silenceNotices } from "./notice.ts";
import type { Schedule } from "./schedule.ts";

/** How long ago a schedule last had a success. Times in milliseconds. */
export interface Age {
  /** Since the last success; where there was none, since the schedule was first seen. */
  readonly ms: number;
  readonly lastSuccess: number | null;
  readonly overdue: boolean;
}

/** Undefined for a schedule that no `run-due` has seen yet. */
export function ageOf(ledger: Ledger, schedule: Schedule, now: number): Age | undefined {
  const registered = ledger.registered(schedule.name);
  if (registered === undefined) return undefined;
  const lastSuccess = ledger.lastSuccess(schedule.name, now)?.endedAt ?? null;
  const ms = now - (lastSuccess ?? registered.registeredAt);
  return { ms, lastSuccess, overdue: ms > schedule.overdueAfter };
}

/** Tells of every schedule that has fallen silent, once for each silence. Returns their names. */
export function noticeSilence(
  environment: Environment,
  ledger: Ledger,
  schedules: readonly Schedule[],
  now: number,
): string[] {
  return schedules
    .filter((schedule) => {
      const age = ageOf(ledger, schedule, now);
      if (age?.overdue !== true || age === undefined) return false;
      return recordSilence(
        ledger,
        schedule.name,
        now,
        silenceNotices(environment, schedule, now - age.ms, age.lastSuccess, now),
      );
    })
    .map(({ name }) => name);
}
