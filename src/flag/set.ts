import { z } from "zod";
import { UsageError } from "../core/errors.ts";
import { percentage } from "../core/schema.ts";
import { type FlagDefinition, isRecord, offVariantKey, type Scalar } from "../flag-source/definition.ts";
import { beforeOff, isOff, turnedOff } from "../flag-source/off.ts";
import { booleanFlag } from "../flag-source/simple-flag.ts";
import { defineFlagChange } from "./change.ts";
import { withRollout } from "./rollout.ts";

/** A share of users with at most two decimals. */
export const share = (description: string) =>
  percentage(description).refine(
    (each) => Number(each.toFixed(2)) === each,
    "must have at most two decimals",
  );

/** Whether a text begins with a day that there is: the clock of JavaScript takes "spring 1" for one, and 30 February for March. */
export function namesDay(text: string): boolean {
  return /^.{10}(T|$)/.test(text) && z.iso.date().safeParse(text.slice(0, 10)).success;
}

const date = z
  .string()
  .refine(
    (each) => each === "never" || (namesDay(each) && !Number.isNaN(Date.parse(each))),
    "must be a date: 2027-01-31, or never",
  );

/** What people want to know of a flag; an empty text takes it away. */
export const people = {
  description: z.string().describe("What the flag is for").optional(),
  owner: z.string().describe("Who answers for it: a team, a person").optional(),
  expires: date.describe("When it should be gone: 2027-01-31; never takes it away").optional(),
  protected: z.enum(["yes", "no"]).describe("Whether a change needs a reason").optional(),
};

type People = z.output<z.ZodObject<typeof people>>;

export const set = defineFlagChange({
  name: "flag.set",
  summary: "Turn a flag on or off, roll it out to a share of users, or say whose it is",
  example: "flag set session-pooling --rollout 10%",
  verb: "set flag",
  makes: true,
  input: {
    state: z
      .enum(["on", "off"])
      .describe("On or off for everybody; the rules stay for when it is on again")
      .optional(),
    rollout: share("The share of users who have it: 10%; also turns it on, unless state says off").optional(),
    variant: z.string().describe("Which variant the share gets; default: the one that is true").optional(),
    targeting: z
      .string()
      .describe("Rules of your own in JsonLogic, in place of all that are there; {} for none")
      .optional(),
    default: z.string().describe("The variant where no rule gives one").optional(),
    "off-variant": z.string().describe("The variant that stands for off, where none is false").optional(),
    ...people,
  },
  edit: (before, input, { now }) => {
    const asked = Object.entries(input).some(
      ([key, value]) => value !== undefined && !["flag", "source", "reason"].includes(key),
    );
    if (!asked) {
      throw new UsageError("E_INPUT", `Nothing to set for flag ${input.flag}`, {
        hint: "add state (on or off), rollout (10%), targeting, description, owner or expires",
      });
    }
    const start = before ?? turnedOff(booleanFlag(100, {}));
    const inside = insideOf(start);
    let after = withPeople(inside, input);
    if (input["off-variant"] !== undefined)
      after = withMetadata(after, { [offVariantKey]: input["off-variant"] });
    if (input.targeting !== undefined) after = withTargeting(after, input.targeting);
    if (input.default !== undefined) after = { ...after, defaultVariant: input.default };
    if (input.rollout !== undefined) {
      after = withRollout(input.flag, after, { percent: input.rollout, variant: input.variant, now });
    }
    const state = input.state ?? (input.rollout === undefined ? undefined : "on");
    if (state === "on") return { ...after, state: "ENABLED" };
    return state === "off" || isOff(start) ? turnedOff(after) : after;
  },
});

/** What changes are made to: of a flag that is off, what it was, with what people wrote on it since. */
export function insideOf(definition: FlagDefinition): FlagDefinition {
  const inside = beforeOff(definition);
  if (inside === undefined) return definition;
  const { off: _, ...metadata } = definition.metadata ?? {};
  const { metadata: __, ...rest } = inside;
  return Object.keys(metadata).length === 0 ? rest : { ...rest, metadata };
}

/** The same change to what counts, whether the flag is off or not. */
export function changedInside(
  definition: FlagDefinition,
  change: (inside: FlagDefinition) => FlagDefinition,
): FlagDefinition {
  const after = change(insideOf(definition));
  return isOff(definition) ? turnedOff(after) : after;
}

export function withPeople(definition: FlagDefinition, input: People): FlagDefinition {
  const text = (value: string | undefined) => (value === "" ? null : value);
  return withMetadata(definition, {
    description: text(input.description),
    owner: text(input.owner),
    expires: input.expires === "never" ? null : input.expires,
    protected: input.protected === undefined ? undefined : input.protected === "yes" ? true : null,
  });
}

/** Undefined leaves an entry as it is, null takes it away. */
export function withMetadata(
  definition: FlagDefinition,
  changes: Readonly<Record<string, Scalar | null | undefined>>,
): FlagDefinition {
  const metadata = { ...definition.metadata };
  for (const [key, value] of Object.entries(changes)) {
    if (value === null) delete metadata[key];
    else if (value !== undefined) metadata[key] = value;
  }
  const { metadata: _, ...rest } = definition;
  return Object.keys(metadata).length === 0 ? rest : { ...rest, metadata };
}

function withTargeting(definition: FlagDefinition, text: string): FlagDefinition {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new UsageError("E_INPUT", "targeting is no JSON", {
      cause: error,
      hint: `write a rule of JsonLogic: '{"if": [{"==": [{"var": "country"}, "DE"]}, "on", "off"]}'`,
    });
  }
  const { targeting: _, metadata, ...rest } = definition;
  const rule = value as Exclude<FlagDefinition["targeting"], undefined>;
  if (!isRecord(rule)) {
    throw new UsageError("E_INPUT", "targeting is no rule: JsonLogic is an object", {
      hint: "for one variant for everybody: --default VARIANT --targeting {}",
    });
  }
  return {
    ...rest,
    ...(Object.keys(rule).length > 0 && { targeting: rule }),
    ...(metadata !== undefined && { metadata }),
  };
}
