import { z } from "zod";
import { formatPercent } from "../core/percent.ts";
import { liveness } from "../process/live-process.ts";
import type { RolloutRecord } from "./record.ts";

/** A canary or a ramp that has given out something, for who looks at a route or a flag. */
export const underWay = z.object({
  version: z.string(),
  run: z.string().nullable(),
  actor: z.string(),
  since: z.string(),
  state: z
    .enum(["running", "paused", "stopped"])
    .describe("stopped: its process is gone, and what it gave stays until a resume, a roll-back or an abort"),
  paused: z
    .object({ share: z.number(), since: z.string(), until: z.string().nullable() })
    .nullable()
    .describe("Where it waits to be promoted"),
});
export type UnderWay = z.output<typeof underWay>;

export function underWayOf({ version, run, actor, since, process, paused }: RolloutRecord): UnderWay {
  const isGone = liveness(process) === "gone";
  const pause = paused === null ? null : { share: paused.share, since: paused.since, until: paused.until };
  const state = isGone ? "stopped" : pause === null ? "running" : "paused";
  return { version, run, actor, since, state, paused: pause };
}

/**
 * Its state, and what can be done about it.
 *
 * @param commands the words before `promote` and `abort`: `ops traffic`
 * @param name the words behind them: a route, a flag
 */
export function underWayLine(
  { state, paused }: Pick<UnderWay, "state" | "paused">,
  commands: string,
  name: string,
): string {
  if (state === "stopped") return `stopped; ops runs resume, ops runs rollback or ${commands} abort ${name}`;
  if (paused === null) return "running";
  const until = paused.until === null ? "" : ` until ${paused.until}`;
  return `paused at ${formatPercent(paused.share)} since ${paused.since}${until}; ${commands} promote ${name}, or ${commands} abort ${name}`;
}
