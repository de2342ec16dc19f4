import { z } from "zod";
import { canonicalJson } from "../core/digest.ts";
import { formatPercent } from "../core/percent.ts";
import { visibleLine } from "../core/visible.ts";
import { definitionSchema, type FlagDefinition, kindOf } from "../flag-source/definition.ts";
import { beforeKill, beforeOff, isKilled, isOff, killOf } from "../flag-source/off.ts";
import { type Audience, layersOf, settledAt } from "./layers.ts";
import { rolloutOf, rolloutOfRule } from "./rollout.ts";

/** A flag in outputs. */
export const flagOutput = {
  flag: z.string().describe("The flag"),
  state: z
    .enum(["on", "off", "killed", "disabled"])
    .describe("on: its rules count; off and killed: nobody has it; disabled: the default in the code counts"),
  kind: z.string().describe("boolean, string, number or object"),
  rollout: z
    .number()
    .nullable()
    .describe("Percent of users who have it while it is on, 0–100; null where rules decide"),
  description: z.string().nullable().describe("What it is for"),
  owner: z.string().nullable().describe("Who answers for it"),
  expires: z.string().nullable().describe("When it should be gone"),
};

export type ShownFlag = z.output<z.ZodObject<typeof flagOutput>>;

/** What was taken away, and what a history tells of, may have been written by hand. */
function isReadable(definition: FlagDefinition): boolean {
  return definitionSchema.safeParse(definition).success;
}

export function stateOf(definition: FlagDefinition): ShownFlag["state"] {
  if (isKilled(definition)) return "killed";
  if (definition.state === "DISABLED") return "disabled";
  return isOff(definition) ? "off" : "on";
}

/** What is there when it is on: of a flag that is off or killed, what it was before. */
export function whenOn(definition: FlagDefinition): FlagDefinition {
  const killed = beforeKill(definition);
  return killed === undefined ? (beforeOff(definition) ?? definition) : whenOn(killed);
}

/** What is shown in the place of a definition that somebody broke by hand: the default in the code counts. */
const nothing: FlagDefinition = { state: "DISABLED", variants: {} };

/** @param now times before it count; default: none do */
export function shown(flag: string, stored: FlagDefinition, now = new Date(0)): ShownFlag {
  const definition = isReadable(stored) ? stored : nothing;
  const text = (key: string): string | null => {
    const value = definition.metadata?.[key];
    return value === undefined ? null : String(value);
  };
  return {
    flag,
    state: stateOf(definition),
    kind: kindOf(definition) ?? "mixed",
    rollout: rolloutOf(settledAt(whenOn(definition), now))?.percent ?? null,
    description: text("description"),
    owner: text("owner"),
    expires: text("expires"),
  };
}

/** `on at 10%`, `off (rollout 10%)`, `killed (was on at 10%)`: what users get. */
export function describeState(definition: FlagDefinition): string {
  const inside = describeRules(whenOn(definition));
  switch (stateOf(definition)) {
    case "on":
      return `on ${inside.startsWith("by") ? inside : `at ${inside}`}`;
    case "off":
      return inside.startsWith("by") ? `off (${inside})` : `off (rollout ${inside})`;
    case "disabled":
      return `disabled (${inside})`;
    case "killed": {
      const was = beforeKill(definition);
      return was === undefined ? "killed" : `killed (was ${describeState(was)})`;
    }
  }
}

function describeRules(definition: FlagDefinition): string {
  const rollout = rolloutOf(definition);
  if (rollout === undefined) return "by rules";
  const named = kindOf(definition) === "boolean" ? "" : ` ${rollout.variant}`;
  return `${formatPercent(rollout.percent)}${named}`;
}

/** All that a plan would write, for one line: the state, lists and rules, and what is for people. */
export function describeFlag(definition: FlagDefinition): string {
  if (!isReadable(definition)) return "what cannot be read";
  const { description, owner, expires, protected: isProtected } = definition.metadata ?? {};
  const people = [
    description === undefined ? undefined : `"${String(description)}"`,
    owner === undefined ? undefined : `owner ${String(owner)}`,
    expires === undefined ? undefined : `expires ${String(expires)}`,
    isProtected === true ? "protected" : undefined,
  ];
  const parts = [describeState(definition), ...describeLayers(whenOn(definition)), ...people];
  return visibleLine(parts.filter((each) => each !== undefined).join(", "));
}

/** Lists, prerequisites, rules and times, one line each. */
export function describeLayers(definition: FlagDefinition): string[] {
  const { deny, needs, allow, rules, times, rest } = layersOf(definition);
  const give = (rule: Parameters<typeof rolloutOfRule>[1]): string => {
    const found = rolloutOfRule(definition, rule);
    if (found === undefined) return typeof rule === "string" ? rule : canonicalJson(rule);
    return found.percent === 0 ? found.other : `${found.variant} for ${formatPercent(found.percent)}`;
  };
  return [
    ...deny.map(({ audience }) => `never for ${describeAudience(audience)}`),
    ...needs.map((flag) => `only with ${flag}`),
    ...allow.map(({ audience, variant }) => `always ${variant} for ${describeAudience(audience)}`),
    ...rules.map(([condition, value]) => `${give(value)} if ${canonicalJson(condition)}`),
    ...times.toReversed().map(([from, value]) => `from ${isoSeconds(from)} ${give(value)}`),
    // Where the state says which share has it, there is no more to say.
    ...(rest === null || rolloutOf(definition) !== undefined ? [] : [`rest ${give(rest)}`]),
  ];
}

function describeAudience(audience: Audience): string {
  if ("segment" in audience) return `segment ${audience.segment}`;
  const { attribute, values } = audience;
  const who =
    values.length > 5 ? `${values.slice(0, 5).join(", ")} and ${values.length - 5} more` : values.join(", ");
  return attribute === "targetingKey" ? who : `${attribute} ${who}`;
}

/** `2027-01-31T09:00:00Z` */
export function isoSeconds(seconds: number): string {
  return new Date(seconds * 1000).toISOString().replace(".000Z", "Z");
}

/** `killed 2026-12-01T10:00:00Z by ann: errors`; undefined where it is not. */
export function describeKill(definition: FlagDefinition): string | undefined {
  if (!isKilled(definition)) return undefined;
  const { at, by, reason } = killOf(definition);
  return `killed${at === undefined ? "" : ` ${at}`}${by === undefined ? "" : ` by ${by}`}${reason === undefined ? "" : `: ${reason}`}`;
}
