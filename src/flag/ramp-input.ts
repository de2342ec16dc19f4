import { z } from "zod";
import { duration, name } from "../core/schema.ts";
import { abortWhen, compareWith } from "../rollout/limits.ts";
import { isPause, stepEntries } from "../rollout/step-field.ts";
import { extensionFields, intervalField, minRequestsField } from "../rollout/watch-fields.ts";
import { flagName, reason, source } from "./source.ts";

const { "error-rate": errorRate, p95 } = abortWhen.shape;

export const rampInput = z.strictObject({
  flag: flagName,
  to: z.string().describe("The variant that is given out; default: the one that is true").optional(),
  steps: stepEntries
    .refine(
      (entries) => entries.every((each) => isPause(each) || Number(each.toFixed(2)) === each),
      "must have at most two decimals",
    )
    .prefault(["10%", "50%", "100%"])
    .describe(
      "The share of the users, step by step: 10%, 50%, 100%; pause (or pause: 30m) waits there for ops flag promote",
    ),
  bake: duration("How long each step lasts, and is watched, before the next").prefault("10m"),
  gate: name("A gate of .opsrc that must say go before the first step and after each").optional(),
  judge: z
    .enum(["metrics", "time"])
    .optional()
    .describe(
      "metrics: users with and without it are compared; time: only the bakes and the gate count; default: metrics where the flag source has some",
    ),
  "abort-when": z
    .strictObject({ "error-rate": errorRate, p95 })
    .prefault({})
    .describe("Limits for the variant's own requests that end the ramp"),
  compare: compareWith
    .prefault({})
    .describe("Ends the ramp where the variant does worse than the other one at the same time"),
  "min-requests": minRequestsField(
    "Answered requests of the variant that a step needs; with fewer it is inconclusive",
  ),
  ...extensionFields,
  interval: intervalField("How often the flag and the figures are looked at"),
  "warm-up": duration("How long a step's figures are not judged after the first of them").prefault("0s"),
  deadline: duration(
    "How long the first request of the variant may take; default: the bake time, at least 10s",
  ).optional(),
  unpromoted: z
    .enum(["fail", "hold", "promote"])
    .default("fail")
    .describe(
      "What follows where nobody promotes within the time of a pause: fail takes it back, hold stays and stops for a person, promote goes on",
    ),
  inconclusive: z
    .enum(["fail", "hold"])
    .default("fail")
    .describe(
      "What follows where no extension brought a verdict: fail takes it back, hold stays and stops for a person",
    ),
  "on-crash": z
    .enum(["return", "hold"])
    .default("return")
    .describe(
      "When ops is killed, told to end (SIGTERM, SIGHUP), or hangs for 30 seconds: return makes the flag what it was before, hold leaves it at the step's share",
    ),
  source,
  reason,
});

export type RampInput = z.output<typeof rampInput>;
