import { z } from "zod";
import { duration, name, percentage, threshold } from "../core/schema.ts";
import type { Threshold } from "../core/threshold.ts";

/** A limit that is crossed upwards, in the unit of what it limits. */
function upperLimit(unit: Threshold["unit"], example: string, description: string) {
  return threshold(`${description}: "${example}"`).refine(
    (limit) => limit.unit === unit && (limit.operator === ">" || limit.operator === ">="),
    { error: `must be an upper limit such as "${example}"` },
  );
}

export const abortWhen = z.strictObject({
  "error-rate": upperLimit("percent", "> 5%", "Share of bad requests of the new version").prefault("> 5%"),
  p95: upperLimit(
    "duration",
    "> 500ms",
    "95th percentile of the new version's request times; needs the route's request-ring",
  ).optional(),
  "mean-response": upperLimit(
    "duration",
    "> 200ms",
    "The balancer's own mean response time; slow to show a change",
  ).optional(),
  "health-failures": upperLimit(
    "number",
    "> 3",
    "Failed health checks in one step; a version that is DOWN aborts at once",
  ).prefault("> 3"),
});

export const canaryInput = z.strictObject({
  route: name("The route; default: the only one, or the one called web").optional(),
  to: name("The new version"),
  steps: z
    .array(percentage("The new version's share in this step"))
    .min(1, "needs at least one step")
    .refine(
      (steps) => steps.every((share, index) => share > (steps[index - 1] ?? 0)),
      "must be increasing shares above 0%",
    )
    .prefault(["10%", "50%", "100%"])
    .describe("The new version's share, step by step: 10%, 50%, 100%"),
  bake: duration("How long each step is watched before the next").prefault("10m"),
  extend: duration(
    "How long to wait for missing requests after the bake; default: the bake time again, at least 10s",
  ).optional(),
  interval: duration("How often the figures are looked at")
    .refine((interval) => interval > 0, "must be above 0")
    .prefault("1s"),
  "min-requests": z
    .int()
    .min(1)
    .default(20)
    .describe("Answered requests of the new version that a step needs; with fewer it is inconclusive"),
  "abort-when": abortWhen.prefault({}).describe("Limits that end the canary and give the traffic back"),
  inconclusive: z
    .enum(["fail", "hold"])
    .default("fail")
    .describe(
      "Too few requests to judge: fail gives the traffic back, hold stays at the step's share and stops",
    ),
});

export type CanaryInput = z.output<typeof canaryInput>;
export type CanaryLimits = z.output<typeof abortWhen>;
