import { z } from "zod";
import { duration, name } from "../core/schema.ts";
import { abortWhen, compareWith } from "../rollout/limits.ts";
import { stepEntries } from "../rollout/step-field.ts";
import { extensionFields, intervalField, minRequestsField } from "../rollout/watch-fields.ts";

/** Each goes into a command line of the balancer, and into a file of its own. */
export const testerNames = z.array(
  z
    .string()
    .regex(
      /^[A-Za-z0-9][A-Za-z0-9_.@:+=-]{0,127}$/,
      "must be at most 128 letters, digits and . _ @ : + = -, beginning with a letter or digit",
    ),
);

export const canaryInput = z.strictObject({
  route: name("The route; default: the only one, or the one called web").optional(),
  to: name("The new version"),
  steps: stepEntries
    .prefault(["10%", "50%", "100%"])
    .describe(
      "The new version's share, step by step: 10%, 50%, 100%; pause (or pause: 30m) waits there for ops traffic promote",
    ),
  testers: testerNames
    .default([])
    .describe(
      "Who gets the version first, whatever its share: what their header or cookie says; needs the route's testers",
    ),
  bake: duration("How long each step is watched before the next").prefault("10m"),
  ...extensionFields,
  interval: intervalField("How often the figures are looked at"),
  "min-requests": minRequestsField(
    "Answered requests of the new version that a step needs; with fewer it is inconclusive",
  ),
  "abort-when": abortWhen.prefault({}).describe("Limits that end the canary and give the traffic back"),
  compare: compareWith
    .prefault({})
    .describe(
      "Ends the canary where the new version does worse than those serving beside it at the same time",
    ),
  "warm-up": duration(
    "How long a step's figures are not judged after its share is seen; a version that is DOWN aborts all the same",
  ).prefault("0s"),
  deadline: duration(
    "How long the share may take to show in the requests, before the bake begins; default: the bake time, at least 10s",
  ).optional(),
  "on-crash": z
    .enum(["return", "hold"])
    .default("return")
    .describe(
      "When ops is killed, told to end (SIGTERM, SIGHUP), or hangs for 30 seconds: return gives the traffic back, hold leaves it at the step's share",
    ),
  "skip-bake": z
    .string()
    .min(1)
    .optional()
    .describe(
      "For a fix that cannot wait: all traffic at once, without bake and comparison; the reason, which is journaled",
    ),
  unpromoted: z
    .enum(["fail", "hold", "promote"])
    .default("fail")
    .describe(
      "What follows where nobody promotes within the time of a pause: fail gives the traffic back, hold stays and stops for a person, promote goes on",
    ),
  drain: duration(
    "How long to wait at 100% until no request is at the other versions any more; then it is told, and the canary passes all the same",
  ).prefault("30s"),
  inconclusive: z
    .enum(["fail", "hold"])
    .default("fail")
    .describe(
      "What follows where no extension brought a verdict: fail gives the traffic back, hold stays at the step's share and stops for a person",
    ),
});

export type CanaryInput = z.output<typeof canaryInput>;
