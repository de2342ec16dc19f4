import { hostname } from "node:os";
import type { Environment } from "../config/environment.ts";
import type { ScheduleSettings } from "../config/schema.ts";
import { CronExpression } from "../core/cron-expression.ts";

const hourMs = 3_600_000;

/** What runs by itself in one environment. */
export interface Schedule {
  readonly name: string;
  readonly environment: string;
  readonly cron: CronExpression;
  readonly settings: ScheduleSettings;
  /** Milliseconds without a success after which it counts as silent. */
  readonly overdueAfter: number;
}

/** Those named, or all. Throws `E_TARGET`. */
export function schedulesOf(environment: Environment, names: readonly string[], now: Date): Schedule[] {
  const wanted = names.length === 0 ? environment.names("schedules") : names;
  return wanted.map((name) => {
    const settings = environment.schedule(name);
    const cron = new CronExpression(settings.cron, settings["time-zone"]);
    return {
      name,
      environment: environment.name,
      cron,
      settings,
      // The longest pause that is planned, and an hour for the run to take longer than the last one.
      overdueAfter: settings["overdue-after"] ?? cron.longestPause(now) + settings.jitter + hourMs,
    };
  });
}

/**
 * Who the journal says began a run of a schedule, and by which the run is found again. One for each time that is due:
 * `schedule/production/nightly@db1 due 2026-11-21T02:00:00.000Z`.
 */
export function actorOf(schedule: Schedule, dueAt: number): string {
  return `schedule/${schedule.environment}/${schedule.name}@${hostname()} due ${new Date(dueAt).toISOString()}`;
}
