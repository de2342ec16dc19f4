import { z } from "zod";
import type { Json } from "../core/errors.ts";
import { duration, name } from "../core/schema.ts";
import { configuredChecks } from "../run/configured-check.ts";
import { noGo, renderGate } from "../run/gate-verdict.ts";
import { measureGate } from "../run/measure-gate.ts";
import { defineOperation, type Operation } from "../run/operation.ts";
import { answer, answers } from "./answer.ts";

const checkOutput = z.object({
  id: z.string(),
  kind: z.string(),
  status: z.enum(["pass", "warn", "fail", "unknown"]),
  counts: z.enum(["pass", "warn", "fail"]).describe("What the check counts as in the verdict"),
  required: z.boolean().describe("false: it warns where it would stop"),
  value: z.union([z.number(), z.string(), z.boolean(), z.null()]),
  shown: z.string(),
  reason: z.string(),
  why: z.string().optional().describe("Why it matters"),
  remedy: z.string().optional().describe("What to do where it fails"),
  limits: z.object({ fail: z.string().optional(), warn: z.string().optional() }),
  startedAt: z.string().describe("When it was measured, UTC"),
  endedAt: z.string(),
  durationMs: z.number(),
  evidence: (z.unknown() as z.ZodType<Json>).optional(),
  rawDigest: z.string().optional().describe("SHA-256 of what was read: a body, an output, rows"),
});

/** Measures when it runs, never when it plans: a gate of a resumed run measures again. */
const check = defineOperation({
  name: "gate.check",
  summary: "Measure a gate's checks and say go or no-go",
  example: "gate check pre-deploy",
  effect: "read",
  input: z.strictObject({
    gate: name("The gate's name in .opsrc"),
    timeout: duration("How long a check without a timeout of its own may take").prefault("30s"),
  }),
  positional: ["gate"],
  output: z.object({ gate: z.string(), verdict: z.enum(["go", "no-go"]), checks: z.array(checkOutput) }),
  observe: async (context, input) => {
    const settings = context.environment.gate(input.gate);
    const configured = configuredChecks(input.gate, settings, await context.checks());
    return { checks: configured.map((each) => ({ id: each.id, kind: each.check.kind })) };
  },
  plan: () => [],
  apply: async (context, input, _before, report) => {
    const result = await measureGate(context, input.gate, input.timeout, (each, done, total) =>
      report.progress({ message: `${each.id}: ${each.status}`, done, total }),
    );
    if (result.verdict === "go") return result;
    for (const line of renderGate(result).split("\n")) report.log(line);
    throw noGo(result);
  },
  render: renderGate,
});

export const operations: readonly Operation[] = [check, answer, answers];
