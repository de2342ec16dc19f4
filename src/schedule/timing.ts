import { hostname } from "node:os";
import type { Timing } from "./due.ts";
import type { Schedule } from "./schedule.ts";

/** On two machines, and for two schedules of one machine, the same time has another jitter. */
export function timingOf({ cron, settings, environment, name }: Schedule): Timing {
  return {
    cron,
    jitter: settings.jitter,
    seed: `${hostname()}/${environment}/${name}`,
    catchUp: settings["catch-up"],
    catchUpWithin: settings["catch-up-within"],
  };
}
