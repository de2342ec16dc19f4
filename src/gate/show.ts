import { z } from "zod";
import { columns } from "../core/columns.ts";
import { formatDuration } from "../core/duration.ts";
import { name } from "../core/schema.ts";
import { configuredChecks } from "../run/configured-check.ts";
import { activeOverrides, overridesIn, shownOverride } from "../run/gate-override.ts";
import { type GateResult, shownReason, symbols, verdictLine } from "../run/gate-verdict.ts";
import type { CheckResult } from "../run/measure-check.ts";
import { defineOperation } from "../run/operation.ts";
import { newestVerdicts } from "../run/verdict-history.ts";
import { gateResultSchema } from "./result-schema.ts";

const checkLine = z.object({
  id: z.string(),
  kind: z.string(),
  fail: z.string().nullable().describe("The limit that fails it"),
  warn: z.string().nullable(),
  required: z.boolean(),
  unknown: z.enum(["fail", "warn", "pass"]).describe("What it counts as where it cannot be measured"),
  freshForMs: z.number().nullable().describe("How long a result is used again; null: always measured"),
  timeoutMs: z.number().nullable().describe("null: what the kind or the gate says"),
  override: z.object({ by: z.string(), until: z.string(), reason: z.string() }).nullable(),
});

export const show = defineOperation({
  name: "gate.show",
  summary: "A gate's checks and limits, and what it said last",
  example: "gate show pre-deploy",
  effect: "read",
  input: z.strictObject({ gate: name("The gate's name in .opsrc") }),
  positional: ["gate"],
  output: z.object({
    gate: z.string(),
    checks: z.array(checkLine),
    last: gateResultSchema.nullable().describe("The newest verdict on this machine, with its evidence"),
    ageMs: z.number().nullable().describe("Since then"),
  }),
  observe: async () => null,
  plan: () => [],
  apply: async (context, { gate }) => {
    const { environment, stateDirectory, clock } = context;
    const now = clock.now();
    const overrides = overridesIn(stateDirectory, { environment: environment.name, gate });
    const active = activeOverrides(overrides, now);
    const checks = configuredChecks(gate, environment.gate(gate), await context.checks()).map((each) => {
      const override = active.get(each.id);
      return {
        id: each.id,
        kind: each.check.kind,
        fail: each.limits.fail?.text.trim() ?? null,
        warn: each.limits.warn?.text.trim() ?? null,
        required: each.required,
        unknown: each.unknown,
        freshForMs: each.freshFor ?? null,
        timeoutMs: each.timeout ?? null,
        override:
          override === undefined ? null : { by: override.by, until: override.until, reason: override.reason },
      };
    });
    const last = newestVerdicts(stateDirectory, environment.name, gate)[0] ?? null;
    const ageMs = last === null ? null : Math.max(0, now.getTime() - Date.parse(last.endedAt));
    return { gate, checks, last, ageMs };
  },
  render: ({ gate, checks, last, ageMs }) => {
    const rows = checks.map(({ id, kind, fail, warn, required, unknown, freshForMs }) => [
      id,
      kind,
      [...(fail === null ? [] : [`fail ${fail}`]), ...(warn === null ? [] : [`warn ${warn}`])].join(", "),
      required ? "" : "not required",
      unknown === "fail" ? "" : `unknown: ${unknown}`,
      freshForMs === null ? "" : `fresh for ${formatDuration(freshForMs)}`,
    ]);
    const overridden = checks.flatMap(({ id, override }) =>
      override === null ? [] : [`${id} is ${shownOverride(override)}`],
    );
    return [
      ...columns([["CHECK", "KIND", "LIMITS", "", "", ""], ...rows], new Set()),
      ...(overridden.length === 0 ? [] : ["", ...overridden]),
      "",
      ...(last === null
        ? [`Gate ${gate} was never checked on this machine: ops gate check ${gate}`]
        : lastLines(last as GateResult, ageMs ?? 0)),
    ].join("\n");
  },
});

function lastLines(last: GateResult, ageMs: number): string[] {
  const where = last.run === undefined ? "" : `, run ${last.run}`;
  const rows = last.checks.map((each) => [`${symbols[each.status]} ${each.id}`, said(each)]);
  return [
    `${verdictLine(last)}, ${formatDuration(ageMs)} ago (${last.endedAt}) by ${last.actor}${where}`,
    ...columns(rows, new Set()).map((each) => `  ${each}`),
  ];
}

function said(check: CheckResult): string {
  const override = check.override === undefined ? "" : `; ${shownOverride(check.override)}`;
  return `${shownReason(check)}${override}`.replaceAll(/\s*\n\s*/g, " ");
}
