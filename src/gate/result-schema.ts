import { z } from "zod";
import type { Json } from "../core/errors.ts";

const limits = z
  .object({ fail: z.string().optional(), warn: z.string().optional() })
  .describe("As they are written");

const override = z.object({
  id: z.string(),
  by: z.string().describe("Who answers for it"),
  actor: z.string().describe("Whose account gave it"),
  host: z.string(),
  reason: z.string(),
  at: z.string(),
  until: z.string(),
});

export const checkResultSchema = z.object({
  id: z.string(),
  kind: z.string(),
  status: z.enum(["pass", "warn", "fail", "unknown"]),
  counts: z.enum(["pass", "warn", "fail"]).describe("What the check counts as in the verdict"),
  required: z.boolean().describe("false: it warns where it would stop"),
  value: z.union([z.number(), z.string(), z.boolean(), z.null()]),
  shown: z.string(),
  reason: z.string(),
  limits,
  why: z.string().optional().describe("Why it matters"),
  remedy: z.string().optional().describe("What to do where it fails"),
  startedAt: z.string().describe("When it was measured, UTC"),
  endedAt: z.string(),
  durationMs: z.number(),
  evidence: (z.unknown() as z.ZodType<Json>).optional(),
  rawDigest: z.string().optional().describe("SHA-256 of what was read: a body, an output, rows"),
  kept: z
    .object({ ageMs: z.number(), run: z.string().optional() })
    .optional()
    .describe("Present where an earlier result that is still fresh was used"),
  override: override.optional().describe("Present while a person has overridden the check"),
});

export const gateResultSchema = z.object({
  gate: z.string(),
  environment: z.string(),
  verdict: z.enum(["go", "no-go"]),
  startedAt: z.string(),
  endedAt: z.string(),
  durationMs: z.number(),
  configuration: z.string().describe("SHA-256 of the gate as it is configured"),
  actor: z.string(),
  host: z.string(),
  version: z.string().describe("Of ops"),
  run: z.string().optional().describe("The run whose journal has this"),
  checks: z.array(checkResultSchema),
});
