import { z } from "zod";
import { UsageError } from "../core/errors.ts";
import { formatPercent } from "../core/percent.ts";
import { name } from "../core/schema.ts";
import { liveness } from "../process/live-process.ts";
import { promoteRecorded } from "../rollout/asked.ts";
import type { Paused } from "../rollout/record.ts";
import { defineOperation } from "../run/operation.ts";
import { CanaryFiles, type CanaryRecord } from "./canary-record.ts";

const output = z.object({
  route: z.string(),
  version: z.string(),
  run: z.string().nullable().describe("The canary's run"),
  share: z.number().describe("Percent of the traffic that the canary had in the pause"),
  acknowledged: z.boolean().describe("Whether the canary has heard of it, and goes on"),
});

export const promote = defineOperation({
  name: "traffic.promote",
  summary: "Let a route's canary go on from its pause",
  example: "traffic promote web --reason 'the figures of the first hour are fine'",
  effect: "change",
  // It must work beside the run that holds the route's lock, which journals who promoted it.
  journaled: false,
  input: z.strictObject({
    route: name("The route; default: the only one, or the one called web").optional(),
    reason: z.string().min(1).optional().describe("Why; it is journaled with the canary's run"),
  }),
  positional: ["route"],
  output,
  async observe(context, input): Promise<{ route: string; record: CanaryRecord; paused: Paused }> {
    const route = context.environment.route(input.route).name;
    const record = await new CanaryFiles(context, route).read();
    if (record === undefined) {
      throw new UsageError(
        "E_NO_CANARY",
        `No canary of route ${route} has traffic, as far as this machine knows`,
        {
          hint: "promote it on the machine and in the folder where it runs; see: ops runs list",
        },
      );
    }
    if (liveness(record.process) === "gone") {
      throw new UsageError(
        "E_CANARY_NOT_PAUSED",
        `The canary of ${record.version} on route ${route} does not run any more`,
        {
          hint: "let it go on first: ops runs resume; or take the traffic back: ops traffic abort",
        },
      );
    }
    if (record.paused === null) {
      throw new UsageError(
        "E_CANARY_NOT_PAUSED",
        `The canary of ${record.version} on route ${route} is not paused: it goes on by itself`,
        { hint: 'a pause is a step of its own: steps: [10%, pause, 50%, "pause: 30m", 100%]' },
      );
    }
    return { route, record, paused: record.paused };
  },
  plan: ({ route, record, paused }) => [
    {
      target: `route:${route}`,
      action: "run",
      summary: `let the canary of ${record.version} go on from ${formatPercent(paused.share)}`,
    },
  ],
  async apply(context, { reason }, { route, record, paused }, report) {
    const { version, run } = record;
    const acknowledged = await promoteRecorded(
      context,
      new CanaryFiles(context, route),
      record,
      paused,
      reason,
      () => report.progress({ message: "waiting for the canary to hear of it" }),
    );
    return { route, version, run, share: paused.share, acknowledged };
  },
  render({ route, version, share, acknowledged }) {
    return acknowledged
      ? `route ${route}: the canary of ${version} goes on from ${formatPercent(share)}`
      : `route ${route}: the canary of ${version} has not heard of it; see: ops traffic status`;
  },
});
