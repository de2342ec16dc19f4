import { z } from "zod";
import { columns } from "../core/columns.ts";
import { formatDuration } from "../core/duration.ts";
import { formatPercent, percent } from "../core/percent.ts";
import { duration, percentage } from "../core/schema.ts";
import { simulate as play } from "../judge/simulate.ts";
import { defineOperation } from "../run/operation.ts";

const input = z.strictObject({
  rps: z.number().positive().default(10).describe("Requests per second of the new version in the first step"),
  "error-rate": percentage("Bad requests of the version that serves now").prefault("0.5%"),
  ratio: z
    .number()
    .min(1)
    .default(5)
    .describe("How many times as often the new version fails, in the second half of the table"),
  steps: z.array(percentage()).min(1).prefault(["10%", "50%"]).describe("Shares of the new version"),
  bake: duration("How long each step lasts").prefault("10m"),
  learn: duration("How long the old version is watched before the first step").prefault("2m"),
  interval: duration("How often the judges look").prefault("10s"),
  burst: z.number().min(1).default(1).describe("Mean number of bad requests in a row; 1: independent ones"),
  "shared-incident": z
    .number()
    .min(1)
    .default(1)
    .describe("How many times as often both fail during one minute of the first step"),
  alpha: percentage("How many healthy canaries may be aborted by the comparison").prefault("1%"),
  limit: percentage(
    "The error rate that the fixed limits compare with; default: twice error-rate",
  ).optional(),
  runs: z.int().min(10).max(100_000).default(1000).describe("Simulated canaries of each kind"),
  seed: z.int().min(0).default(1).describe("The same seed gives the same numbers"),
});

const output = z.object({
  limit: z.number().describe("Percent; what the fixed limits compared with"),
  judges: z.array(
    z.object({
      judge: z.string(),
      falseAborts: z.number().describe("Percent of the canaries of a version that is no worse"),
      detected: z.number().describe("Percent of the canaries of the worse version"),
      medianSeconds: z.number().nullable().describe("Until half of the detected ones were aborted"),
      p90Seconds: z.number().nullable().describe("Until nine of ten were"),
    }),
  ),
});

export const simulate = defineOperation({
  name: "traffic.simulate",
  summary: "Try the judge of a canary on simulated traffic, beside fixed limits and Mann-Whitney",
  example: "traffic simulate --rps 10 --error-rate 0.5% --ratio 2",
  effect: "read",
  input,
  output,
  observe: async () => null,
  plan: () => [],
  async apply(_context, given) {
    const limit = given.limit ?? percent(Math.min(100, 2 * given["error-rate"]));
    const scenario = {
      rps: given.rps,
      errorRate: given["error-rate"] / 100,
      burst: given.burst,
      steps: given.steps.map((each) => each / 100),
      bake: given.bake / 1000,
      learn: given.learn / 1000,
      sharedIncident: given["shared-incident"],
      runs: given.runs,
      seed: given.seed,
      judge: { stretch: given.interval / 1000, alpha: given.alpha / 100, limit: limit / 100 },
    };
    const healthy = play({ ...scenario, ratio: 1 });
    const worse = play({ ...scenario, ratio: given.ratio });
    return {
      limit,
      judges: healthy.map(({ judge, aborted }, index) => ({
        judge,
        falseAborts: 100 * aborted,
        detected: 100 * (worse[index]?.aborted ?? 0),
        medianSeconds: worse[index]?.median ?? null,
        p90Seconds: worse[index]?.p90 ?? null,
      })),
    };
  },
  render({ limit, judges }) {
    const time = (seconds: number | null) => (seconds === null ? "-" : formatDuration(seconds * 1000));
    const rows = judges.map((each) => [
      each.judge,
      formatPercent(each.falseAborts),
      formatPercent(each.detected),
      time(each.medianSeconds),
      time(each.p90Seconds),
    ]);
    const header = ["judge", "false aborts", "detected", "median", "90%"];
    return [
      ...columns([header, ...rows], new Set([1, 2, 3, 4])),
      "",
      `The limit is an error rate of ${formatPercent(limit)} over a minute. False aborts: of a version that is no worse.`,
    ].join("\n");
  },
});
