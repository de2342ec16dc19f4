import { z } from "zod";
import { duration, name } from "../core/schema.ts";

/** The shape of a runbook file. Each step's `with:` is checked by the operation that it uses. */

const onFailure = z
  .enum(["stop", "rollback", "continue"])
  .describe("What a failure does: stop and wait for a person, roll everything back, or go on");

export const retrySchema = z.strictObject({
  attempts: z
    .int("must be a whole number")
    .min(1, "must be at least 1")
    .max(100, "must be at most 100")
    .describe("How often in all"),
  backoff: duration("Pause before the second attempt; doubles each time").prefault("1s"),
  on: z
    .array(z.string().regex(/^[a-zA-Z_]+$/, "must be an error code, letters and _ only: lock_timeout"))
    .optional()
    .describe("Only these error codes; without it every error that trying again can mend"),
});

export const stepSchema = z.strictObject({
  id: name("Unique in the runbook; the journal and expressions know the step by it"),
  name: z.string().optional().describe("A title for people"),
  uses: z.string().describe("The operation: backup.create, migrate.up, …"),
  with: z.record(z.string(), z.unknown()).default({}).describe("The operation's input"),
  if: z.union([z.boolean(), z.string()]).optional().describe("A CEL condition; false skips the step"),
  timeout: duration("The step fails when it takes longer").optional(),
  retry: retrySchema.optional(),
  "on-failure": onFailure.optional(),
  undo: z.enum(["auto", "skip"]).default("auto").describe("Whether a roll-back takes this step back"),
});

export const groupSchema = z.strictObject({
  name: z.string().optional(),
  parallel: z
    .array(z.unknown())
    .min(1, "needs at least one step")
    .describe("Steps that run at the same time"),
});

export const inputSchema = z.strictObject({
  type: z.enum(["string", "number", "boolean"]).default("string"),
  description: z.string().optional(),
  default: z.union([z.string(), z.number(), z.boolean()]).optional(),
  options: z
    .array(z.union([z.string(), z.number()]))
    .min(1, "needs at least one option")
    .optional()
    .describe("The values allowed"),
});

export const runbookSchema = z.strictObject({
  name: name("The runbook's name"),
  description: z.string().optional(),
  inputs: z.record(name("An input's name"), inputSchema).default({}),
  locks: z
    .array(
      z
        .string()
        .regex(
          /^(database|store|route|flag|backup):[\w./-]+$/,
          "must be kind:name, as in database:main; the kinds are database, store, route, flag and backup",
        ),
    )
    .default([])
    .describe("Targets to lock beside those of the steps"),
  "on-failure": onFailure.default("stop"),
  steps: z.array(z.unknown()).min(1, "needs at least one step"),
});

export type StepSettings = z.output<typeof stepSchema>;
export type RetrySettings = z.output<typeof retrySchema>;
export type InputSettings = z.output<typeof inputSchema>;
