import { z } from "zod";
import type { CheckSettings } from "../config/schema.ts";
import { isReference } from "../config/secret.ts";
import { formatDuration } from "../core/duration.ts";
import type { Json } from "../core/errors.ts";
import { formatMoment } from "../core/moment.ts";
import { mask, redactJson, secretName } from "../core/redaction.ts";
import { name } from "../core/schema.ts";
import { visible } from "../core/visible.ts";
import { type ConfiguredCheck, configuredChecks } from "../run/configured-check.ts";
import { type Override, overrideState, overridesIn, shownOverride } from "../run/gate-override.ts";
import { type GateResult, shownReason, symbols } from "../run/gate-verdict.ts";
import { defineOperation } from "../run/operation.ts";
import { newestVerdicts } from "../run/verdict-history.ts";
import { checkSettings } from "./place.ts";
import { checkResultSchema } from "./result-schema.ts";

const explained = z.object({
  id: z.string(),
  kind: z.string(),
  measures: z.string().describe("What a check of this kind measures"),
  with: z.record(z.string(), z.unknown() as z.ZodType<Json>).describe("Without secrets"),
  fail: z.string().nullable(),
  warn: z.string().nullable(),
  why: z.string().nullable().describe("Why it matters"),
  remedy: z.string().nullable().describe("What to do where it does not pass"),
  unknown: z.enum(["fail", "warn", "pass"]).describe("What it counts as where it cannot be measured"),
  required: z.boolean(),
  freshForMs: z.number().nullable(),
  timeoutMs: z.number().nullable(),
  last: checkResultSchema
    .extend({ run: z.string().optional().describe("The run whose journal has it") })
    .nullable()
    .describe("In the gate's newest verdict on this machine"),
  overrides: z.array(z.object({ text: z.string(), state: z.enum(["active", "expired", "revoked"]) })),
});
type Explained = z.output<typeof explained>;

export const explain = defineOperation({
  name: "gate.explain",
  summary: "What a gate's checks measure, why that matters, what to do, and what was seen last",
  example: "gate explain pre-deploy health",
  effect: "read",
  input: z.strictObject({
    gate: name("The gate's name in .opsrc"),
    check: name("One of its checks; default: all of them").optional(),
  }),
  positional: ["gate", "check"],
  output: z.object({ gate: z.string(), checks: z.array(explained) }),
  observe: async () => null,
  plan: () => [],
  apply: async (context, { gate, check }) => {
    const { environment, stateDirectory, clock } = context;
    const settings = environment.gate(gate);
    const wanted = check === undefined ? undefined : checkSettings(gate, settings, check).id;
    const [last] = newestVerdicts(stateDirectory, environment.name, gate);
    const overrides = overridesIn(stateDirectory, { environment: environment.name, gate });
    const checks = configuredChecks(gate, settings, await context.checks())
      .filter(({ id }) => wanted === undefined || id === wanted)
      .map((each) =>
        explainedCheck(
          each,
          checkSettings(gate, settings, each.id),
          last,
          overrides.filter((override) => override.check === each.id),
          clock.now(),
        ),
      );
    return { gate, checks };
  },
  render: ({ gate, checks }) => checks.map((each) => shownCheck(gate, each)).join("\n\n"),
});

function explainedCheck(
  configured: ConfiguredCheck,
  settings: CheckSettings,
  last: GateResult | undefined,
  overrides: readonly Override[],
  now: Date,
): Explained {
  const result = last?.checks.find(({ id }) => id === configured.id);
  return {
    id: configured.id,
    kind: configured.check.kind,
    measures: configured.check.summary,
    with: masked(settings.with as Json) as Record<string, Json>,
    fail: configured.limits.fail?.text.trim() ?? null,
    warn: configured.limits.warn?.text.trim() ?? null,
    why: configured.why ?? null,
    remedy: configured.remedy ?? null,
    unknown: configured.unknown,
    required: configured.required,
    freshForMs: configured.freshFor ?? null,
    timeoutMs: configured.timeout ?? null,
    last: result === undefined ? null : { ...result, ...(last?.run === undefined ? {} : { run: last.run }) },
    overrides: overrides.map((each) => ({ text: shownOverride(each), state: overrideState(each, now) })),
  };
}

/** Without what is called a secret and is no reference to one, and without the queries of URLs, which may hold one. */
function masked(value: Json, key = ""): Json {
  if (Array.isArray(value)) return value.map((each) => masked(each, key));
  if (typeof value === "object" && value !== null) {
    return Object.fromEntries(
      Object.entries(value).map(([inner, each]) => [inner, masked(each ?? null, inner)]),
    );
  }
  if (typeof value !== "string") return value;
  if (secretName.test(key) && !isReference(value)) return mask;
  return redactJson(value.replace(/^(https?:\/\/[^?#\s]*)\?\S*$/, "$1?…"));
}

const counts = { fail: "counts as failed", warn: "counts as a warning", pass: "counts as passed" } as const;

function shownCheck(gate: string, check: Explained): string {
  const limits = [
    ...(check.fail === null ? [] : [`fails at ${check.fail}`]),
    ...(check.warn === null ? [] : [`warns at ${check.warn}`]),
  ];
  const { last } = check;
  const lines: readonly (readonly [string, string | null])[] = [
    ["measures", check.measures],
    ...Object.entries(check.with).map(([key, value]) => [`  ${key}`, text(value)] as const),
    ["limits", limits.join(", ") || "none written: what the kind says"],
    ["why", check.why],
    ["do", check.remedy],
    ["unknown", counts[check.unknown]],
    ["required", check.required ? "yes" : "no: it warns where it would stop the gate"],
    ["timeout", check.timeoutMs === null ? null : formatDuration(check.timeoutMs)],
    [
      "fresh",
      check.freshForMs === null
        ? "measured each time"
        : `a result that did not fail is used again for ${formatDuration(check.freshForMs)}`,
    ],
    ...check.overrides.map((each) => ["override", `${each.text} (${each.state})`] as const),
    [
      "last",
      last === null
        ? `never measured on this machine: ops gate check ${gate}`
        : `${symbols[last.status]} ${shownReason(last)}, measured ${formatMoment(new Date(last.startedAt))}${last.run === undefined ? "" : `, run ${last.run}`}`,
    ],
    ["evidence", last?.evidence === undefined ? null : visible(JSON.stringify(last.evidence))],
    ["read", last?.rawDigest ?? null],
  ];
  const width = Math.max(...lines.map(([label]) => label.length));
  return [
    `${check.id} of gate ${gate}: ${check.kind}`,
    ...lines.flatMap(([label, value]) =>
      value === null
        ? []
        : [`  ${label.padEnd(width)}  ${value.trim().replaceAll("\n", `\n${" ".repeat(width + 4)}`)}`],
    ),
  ].join("\n");
}

function text(value: Json): string {
  return typeof value === "string" ? value : JSON.stringify(value);
}
