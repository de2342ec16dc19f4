import type { CronExpression } from "../core/cron-expression.ts";
import { formatDuration } from "../core/duration.ts";
import { OpsError } from "../core/errors.ts";
import type { SchemaMistake } from "../core/schema-mistake.ts";
import { suggestion } from "../core/suggestion.ts";
import type { EnvironmentSettings, ScheduleSettings } from "./schema.ts";

/** run-due looks every minute: of two starts within one, only the later would run. Milliseconds. */
const tick = 60_000;

type Read = (text: string, timezone: string) => CronExpression;

/** What is wrong with schedules beyond their shape: expressions, and names that lead nowhere. */
export async function scheduleMistakes(settings: EnvironmentSettings): Promise<SchemaMistake[]> {
  if (Object.keys(settings.schedules).length === 0) return [];
  // Nothing else needs cron expressions when a command starts.
  const { CronExpression } = await import("../core/cron-expression.ts");
  const read: Read = (text, timezone) => new CronExpression(text, timezone);
  const known = Object.keys(settings.notifications);
  return Object.entries(settings.schedules).flatMap(([name, schedule]) => {
    const path = ["schedules", name];
    const unknown = schedule.notify.flatMap((each, index) =>
      known.includes(each)
        ? []
        : [
            {
              path: [...path, "notify", index],
              message: `there is no notification "${each}"`,
              hint: known.length === 0 ? 'add it under "notifications:"' : suggestion(each, known),
            },
          ],
    );
    return [...timeMistakes(schedule, path, read), ...unknown];
  });
}

function timeMistakes(schedule: ScheduleSettings, path: readonly string[], read: Read): SchemaMistake[] {
  let cron: CronExpression;
  try {
    cron = read(schedule.cron, schedule["time-zone"]);
  } catch (error) {
    if (!(error instanceof OpsError)) throw error;
    const key = error.message.includes("time zone") ? "time-zone" : "cron";
    return [{ path: [...path, key], message: error.message, hint: error.hint }];
  }
  const now = new Date();
  const pause = cron.shortestPause(now);
  const most = pause - tick;
  if (schedule.jitter === 0 || schedule.jitter <= most) return [];
  const times = cron.next(now, 3).map((each) => each.toISOString().slice(0, 16).replace("T", " "));
  return [
    {
      path: [...path, "jitter"],
      message: `a jitter of ${formatDuration(schedule.jitter)} does not fit between two runs, which are ${formatDuration(pause)} apart (next, UTC: ${times.join(", ")})`,
      hint: most > 0 ? `write at most ${formatDuration(most)}` : "leave it out",
    },
  ];
}
