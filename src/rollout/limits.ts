import { z } from "zod";
import { duration, percentage, threshold } from "../core/schema.ts";
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
    "Failed health checks in a row; a version that is DOWN aborts at once",
  ).prefault("> 3"),
});

export const compareWith = z.strictObject({
  alpha: percentage("How many healthy canaries the comparison may abort; 0%: do not compare").prefault("1%"),
  learn: duration(
    "How long the route is watched before the first step, to know how its errors vary by themselves; default: the bake time, at most 2m",
  ).optional(),
  tolerate: z
    .number()
    .min(1)
    .max(100)
    .default(1)
    .describe("How many times as often as the other versions the new one may fail"),
  "slower-by": duration(
    "How much longer than the p95 of before a request must take to count as slow: what is less than that no user notices",
  ).prefault("10ms"),
});

/** What is not limited is not judged. */
export type CanaryLimits = Pick<z.output<typeof abortWhen>, "error-rate"> &
  Partial<Omit<z.output<typeof abortWhen>, "error-rate">>;
