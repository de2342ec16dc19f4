import { z } from "zod";
import { columns } from "../core/columns.ts";
import { formatDuration } from "../core/duration.ts";
import { formatPercent, percent } from "../core/percent.ts";
import { duration, percentage } from "../core/schema.ts";
import { abortWhen, compareWith } from "../rollout/limits.ts";
import { simulate as play } from "../rollout/simulate.ts";
import { slowShare } from "../rollout/slow-share.ts";
import { minRequestsField } from "../rollout/watch-fields.ts";
import { defineOperation } from "../run/operation.ts";

const input = z.strictObject({
  rps: z.number().positive().default(10).describe("Requests per second of the new version in the first step"),
  "error-rate": percentage("Bad requests of the version that serves now").prefault("0.5%"),
  ratio: z
    .number()
    .min(1)
    .default(5)
    .describe("How many times as often the new version fails, for what is detected"),
  slower: z
    .number()
    .min(1)
    .optional()
    .describe(
      "How many times as long the new version takes, for what is detected; default: request times are not known",
    ),
  p95: duration("95th percentile of the request times of the version that serves now").prefault("200ms"),
  steps: z.array(percentage()).min(1).prefault(["10%", "50%"]).describe("Shares of the new version"),
  bake: duration("How long each step lasts").prefault("10m"),
  learn: duration("How long the old version is watched before the first step").prefault("2m"),
  interval: duration("How often ops looks; the other judges look every 10s")
    .refine((interval) => interval > 0, "must be above 0")
    .prefault("1s"),
  burst: z.number().min(1).default(1).describe("Mean number of bad requests in a row; 1: independent ones"),
  "shared-incident": z
    .number()
    .min(1)
    .default(1)
    .describe("How many times as often both fail during one minute of the first step"),
  alpha: percentage("How many healthy canaries may be aborted by the comparison").prefault("1%"),
  tolerate: compareWith.shape.tolerate,
  "slower-by": compareWith.shape["slower-by"],
  "abort-when": z
    .strictObject({ "error-rate": abortWhen.shape["error-rate"] })
    .prefault({})
    .describe("The limit that ends a canary of ops beside the comparison"),
  "min-requests": minRequestsField("As of a canary"),
  limit: percentage(
    "The error rate that the fixed limits of the other judges compare with, or the share of slow requests; default: twice that of the version that serves now",
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
    const slowLimit = given.p95 + given["slower-by"];
    const slowShares =
      given.slower === undefined
        ? undefined
        : { old: slowShare(given.p95, slowLimit), new: slowShare(given.p95 * given.slower, slowLimit) };
    const usual = slowShares === undefined ? given["error-rate"] : 100 * slowShares.old;
    const limit = given.limit ?? percent(Math.min(100, 2 * usual));
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
      judge: {
        stretch: given.interval / 1000,
        alpha: given.alpha / 100,
        tolerate: given.tolerate,
        errorRate: given["abort-when"]["error-rate"].value / 100,
        minRequests: given["min-requests"],
        limit: limit / 100,
      },
    };
    const same = slowShares && { old: slowShares.old, new: slowShares.old };
    const healthy = play({ ...scenario, ratio: 1, slow: same });
    const worse = play({ ...scenario, ratio: given.ratio, slow: slowShares });
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
      `The limits are ${formatPercent(limit)} over a minute. False aborts: of a version that is no worse.`,
    ].join("\n");
  },
});
