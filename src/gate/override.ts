import { randomUUID } from "node:crypto";
import { hostname } from "node:os";
import { z } from "zod";
import { columns } from "../core/columns.ts";
import { type Duration, formatDuration, parseDuration } from "../core/duration.ts";
import { UsageError } from "../core/errors.ts";
import { formatMoment } from "../core/moment.ts";
import { duration, name, words } from "../core/schema.ts";
import {
  keepOverride,
  type Override,
  type OverrideState,
  overrideState,
  overridesIn,
  revokeOverrides,
  shownOverride,
} from "../run/gate-override.ts";
import { defineOperation } from "../run/operation.ts";
import { checkSettings } from "./place.ts";

/** How long an override may last where the gate says nothing else. */
const usualLongest = parseDuration("30d");

const gate = name("The gate's name in .opsrc");
const check = name("The check's id in the gate");
const by = words("Who answers for it: a person's name");

const moment = z
  .string()
  .transform((text) => text.trim().replace(/^(\d{4}-\d\d-\d\d)[ T](\d\d:\d\d)(?=Z|[+-])/, "$1T$2:00"))
  .pipe(z.iso.datetime({ offset: true, error: "must have date, time and zone: 2026-11-22T18:00:00Z" }));

const overrideSchema = z.object({
  id: z.string(),
  environment: z.string(),
  gate: z.string(),
  check: z.string(),
  by: z.string().describe("Who answers for it"),
  actor: z.string().describe("Whose account gave it"),
  host: z.string(),
  reason: z.string(),
  run: z.string().optional().describe("The run that journaled it"),
  at: z.string(),
  until: z.string(),
  revoked: z
    .object({ at: z.string(), by: z.string(), actor: z.string(), host: z.string(), reason: z.string() })
    .optional(),
});

/** What is decided before anything is written, so that it is the same after a crash. */
type Given = { id: string; at: string; until: string };

export const override = defineOperation({
  name: "gate.override",
  summary: "Say go in spite of one check, with a reason, a name and an end",
  example: 'gate override pre-deploy health --by "Ann Lee" --reason "the vendor is in maintenance" --for 2h',
  effect: "change",
  input: z
    .strictObject({
      gate,
      check,
      reason: words("Why the check may fail; shown wherever the check is"),
      by,
      until: moment.optional().describe("When it ends: 2026-11-22T18:00:00Z"),
      for: duration("How long it holds: 2h").optional(),
    })
    .superRefine((given, context) => {
      if ((given.until === undefined) !== (given.for === undefined)) return;
      const message =
        given.for === undefined ? "or --for is missing: it needs an end" : "and --for are two ends";
      context.addIssue({ code: "custom", path: ["until"], message });
    }),
  positional: ["gate", "check"],
  output: overrideSchema,

  observe: async ({ environment, clock }, input): Promise<Given> => {
    const settings = environment.gate(input.gate);
    checkSettings(input.gate, settings, input.check);
    const now = clock.now().getTime();
    const until = input.until === undefined ? now + (input.for ?? 0) : Date.parse(input.until);
    refuseLength(input.gate, until - now, settings["longest-override"] ?? usualLongest);
    return { id: randomUUID(), at: new Date(now).toISOString(), until: new Date(until).toISOString() };
  },

  plan: (_before, input) => [
    {
      target: `gate:${input.gate}`,
      action: "create",
      summary: `override ${input.check} ${end(input)}, by ${input.by}: ${input.reason}`,
    },
  ],

  apply: async (context, input, before) => {
    const given: Override = {
      ...before,
      environment: context.environment.name,
      gate: input.gate,
      check: input.check,
      by: input.by,
      actor: context.actor,
      host: hostname(),
      reason: input.reason,
      ...(context.runId === undefined ? {} : { run: context.runId }),
    };
    keepOverride(context.stateDirectory, given);
    return given;
  },

  undo: async ({ stateDirectory, clock, actor }, input, { id }) => {
    revokeOverrides(stateDirectory, [id], {
      at: clock.now().toISOString(),
      by: input.by,
      actor,
      host: hostname(),
      reason: "its run was taken back",
    });
    return { undone: true, note: "the override is revoked" };
  },

  render: (given) =>
    `${given.check} of gate ${given.gate} on ${given.environment} is ${shownOverride(given)}\ntake it back: ops gate revoke ${given.gate} ${given.check} --by NAME`,
});

function end({ until, for: length }: { until?: string | undefined; for?: Duration | undefined }): string {
  return until === undefined ? `for ${formatDuration(length ?? 0)}` : `until ${until}`;
}

function refuseLength(gate: string, length: number, longest: number): void {
  if (length <= 0) {
    throw new UsageError("E_GATE_OVERRIDE", "An override must end in the future", {
      hint: "write --for 2h, or --until with a later moment",
    });
  }
  if (length <= longest) return;
  const most =
    longest === 0 ? "allows no overrides" : `allows overrides of at most ${formatDuration(longest)}`;
  throw new UsageError("E_GATE_OVERRIDE", `Gate ${gate} ${most}, not of ${formatDuration(length)}`, {
    hint: `mend what the check finds, or change longest-override under "gates: ${gate}:" in .opsrc`,
  });
}

export const revoke = defineOperation({
  name: "gate.revoke",
  summary: "Take an override back: the check counts again",
  example: 'gate revoke pre-deploy health --by "Ann Lee"',
  effect: "change",
  input: z.strictObject({ gate, check, by, reason: words("Why").optional() }),
  positional: ["gate", "check"],
  output: z.object({ gate: z.string(), check: z.string(), revoked: z.array(overrideSchema) }),

  observe: async ({ environment, stateDirectory, clock }, input) => {
    const place = { environment: environment.name, gate: input.gate, check: input.check };
    const now = clock.now();
    return overridesIn(stateDirectory, place).filter((each) => overrideState(each, now) === "active");
  },

  plan: (active, input) =>
    active.map((each) => ({
      target: `gate:${input.gate}`,
      action: "delete",
      summary: `revoke the override of ${input.check} by ${each.by} until ${formatMoment(new Date(each.until))}`,
    })),

  apply: async ({ environment, stateDirectory, clock, actor }, input, active) => {
    const ids = active.map((each) => each.id);
    revokeOverrides(stateDirectory, ids, {
      at: clock.now().toISOString(),
      by: input.by,
      actor,
      host: hostname(),
      reason: input.reason ?? "",
    });
    const place = { environment: environment.name, gate: input.gate, check: input.check };
    const revoked = overridesIn(stateDirectory, place).filter((each) => ids.includes(each.id));
    return { gate: input.gate, check: input.check, revoked };
  },

  unchanged: (_active, input) => ({
    output: { gate: input.gate, check: input.check, revoked: [] },
    warnings: [],
  }),

  undo: async () => ({
    undone: "kept",
    note: "a revoked override stays revoked; where it is wanted again: ops gate override",
  }),

  render: (output) =>
    output.revoked.length === 0
      ? `no override of ${output.check} of gate ${output.gate} holds`
      : output.revoked.map((each) => `revoked: ${output.check} was ${shownOverride(each)}`).join("\n"),
});

export const overrides = defineOperation({
  name: "gate.overrides",
  summary: "Overrides that hold, or all that were ever given",
  example: "gate overrides --all",
  effect: "read",
  input: z.strictObject({
    gate: gate.optional(),
    all: z.boolean().default(false).describe("Also those that have expired or were revoked"),
  }),
  positional: ["gate"],
  output: z.object({
    overrides: z.array(overrideSchema.extend({ state: z.enum(["active", "expired", "revoked"]) })),
  }),
  observe: async () => null,
  plan: () => [],
  apply: async ({ environment, stateDirectory, clock }, input) => {
    const now = clock.now();
    const given = overridesIn(stateDirectory, { environment: environment.name, gate: input.gate });
    const seen = given.map((each) => ({ ...each, state: overrideState(each, now) }));
    return { overrides: seen.filter(({ state }) => input.all || state === "active") };
  },
  render: (output) => {
    if (output.overrides.length === 0) return "no overrides";
    const rows = output.overrides.map((each) => [
      each.gate,
      each.check,
      shownState(each),
      formatMoment(new Date(each.until)),
      each.by,
      `${each.actor} on ${each.host}`,
      each.reason,
    ]);
    return columns(
      [["GATE", "CHECK", "STATE", "UNTIL", "BY", "GIVEN AS", "REASON"], ...rows],
      new Set(),
    ).join("\n");
  },
});

function shownState({ state, revoked }: Override & { readonly state: OverrideState }): string {
  return revoked === undefined ? state : `revoked by ${revoked.by} ${formatMoment(new Date(revoked.at))}`;
}
