import { z } from "zod";
import { duration } from "../core/schema.ts";

/** Of what is watched step by step: how long a bake without a verdict goes on. */
export const extensionFields = {
  extend: duration(
    "How long to go on where the bake has no verdict; default: the bake time again, at least 10s",
  ).optional(),
  extensions: z
    .int()
    .min(0)
    .max(100)
    .default(1)
    .describe("How often a bake is extended before it is inconclusive"),
};

/** Milliseconds between two looks. */
export function intervalField(description: string) {
  return duration(description)
    .refine((interval) => interval > 0, "must be above 0")
    .prefault("1s");
}

export function minRequestsField(description: string) {
  return z.int().min(1).default(20).describe(description);
}
