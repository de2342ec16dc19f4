import { UsageError } from "../core/errors.ts";
import { definitionSchema, type FlagDefinition, offVariant, type Scalar, sameJson } from "./definition.ts";

/*
 * "Off" is written into the definition itself, so that every reader of the format honours it: no rules, and the default
 * variant is the one that turns the feature off. `DISABLED` would not do: with it, whoever asks gets the default of its
 * own code, which may be "on". What was there before is remembered in the metadata, as a text, because flagd allows no
 * objects there.
 */

/** Keys of the metadata: what the flag was when it was turned off, or killed. */
const offKey = "off";
const killedKey = "killed";
/** Keys that tell a person about a kill. */
const killNotes = ["killed-at", "killed-by", "killed-reason"] as const;
/** Key of the variant that a kill named. */
const killVariantKey = "killed-variant";

/** Keys of the metadata that only `ops` writes, and whose value is not what it writes there. */
export function misusedKeys(definition: FlagDefinition): string[] {
  const { metadata = {} } = definition;
  const isText = (key: string) => metadata[key] === undefined || typeof metadata[key] === "string";
  return [
    ...[offKey, killedKey].filter((key) => metadata[key] !== undefined && !remembered(definition, key)),
    ...[...killNotes, killVariantKey].filter((key) => !isText(key)),
  ];
}

/** What is remembered; exactly the definition, its order of keys included. */
function remembered(definition: FlagDefinition, key: string): FlagDefinition | undefined {
  const text = definition.metadata?.[key];
  if (typeof text !== "string") return undefined;
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  return definitionSchema.safeParse(value).success ? (value as FlagDefinition) : undefined;
}

/** Whether somebody has killed it: nothing but `restore` brings it back. */
export function isKilled({ metadata }: FlagDefinition): boolean {
  return typeof metadata?.[killedKey] === "string";
}

/** Whether it is turned off, and not killed. */
export function isOff(definition: FlagDefinition): boolean {
  return typeof definition.metadata?.[offKey] === "string" && !isKilled(definition);
}

/** What the flag was when it was turned off; undefined where it is not off. */
export function beforeOff(definition: FlagDefinition): FlagDefinition | undefined {
  return isKilled(definition) ? undefined : remembered(definition, offKey);
}

/** What the flag was when it was killed; undefined where it is not, or that was tampered with. */
export function beforeKill(definition: FlagDefinition): FlagDefinition | undefined {
  return remembered(definition, killedKey);
}

/** The definition, and what is remembered in it of when the flag was on: all that may count one day. */
export function everyState(definition: FlagDefinition): FlagDefinition[] {
  const inside = beforeKill(definition) ?? remembered(definition, offKey);
  return inside === undefined ? [definition] : [definition, ...everyState(inside)];
}

/** The definition as it counts now, and nothing of what it remembers. */
export function withoutMemory(definition: FlagDefinition): FlagDefinition {
  if (definition.metadata === undefined) return definition;
  const { [offKey]: _, [killedKey]: __, ...metadata } = definition.metadata;
  return { ...definition, metadata };
}

/** Everybody gets the "off" variant; the definition as it is now is remembered. Throws `E_FLAG_NO_OFF`. */
export function turnedOff(definition: FlagDefinition, variant?: string): FlagDefinition {
  return allOff(definition, { [offKey]: JSON.stringify(definition) }, variant);
}

export interface Kill {
  /** ISO 8601. */
  readonly at: string;
  readonly by: string;
  readonly reason?: string | undefined;
  /** Default: the "off" variant. */
  readonly variant?: string | undefined;
}

/**
 * As turned off, but stronger: no other change brings anything back. Killing again changes nothing, but for what somebody
 * has brought into the killed flag by hand.
 */
export function killed(definition: FlagDefinition, { at, by, reason, variant }: Kill): FlagDefinition {
  if (isKilled(definition)) return asKilled(definition);
  const notes = {
    "killed-at": at,
    "killed-by": by,
    ...(reason !== undefined && { "killed-reason": reason }),
    ...(variant !== undefined && { [killVariantKey]: variant }),
  };
  return allOff(definition, { ...notes, [killedKey]: JSON.stringify(definition) }, variant);
}

/** A killed flag as its kill has left it, whatever somebody has brought into it by hand; the same object where that is nothing. */
export function asKilled(definition: FlagDefinition): FlagDefinition {
  const was = beforeKill(definition) ?? definition;
  const named = definition.metadata?.[killVariantKey];
  const off = typeof named === "string" && Object.hasOwn(was.variants, named) ? named : offVariant(was);
  const { targeting: _, ...rest } = definition;
  const whole: FlagDefinition = {
    ...rest,
    state: "ENABLED",
    variants: was.variants,
    ...(off !== undefined && { defaultVariant: off }),
  };
  return sameJson(whole, definition) ? definition : whole;
}

/** When and by whom it was killed, for a person. */
export function killOf({ metadata }: FlagDefinition): Partial<Record<"at" | "by" | "reason", string>> {
  const [at, by, reason] = killNotes.map((key) => metadata?.[key]);
  return {
    ...(typeof at === "string" && { at }),
    ...(typeof by === "string" && { by }),
    ...(typeof reason === "string" && { reason }),
  };
}

function allOff(
  definition: FlagDefinition,
  metadata: Readonly<Record<string, Scalar>>,
  variant: string | undefined,
): FlagDefinition {
  const off = variant ?? offVariant(definition);
  if (off === undefined || !Object.hasOwn(definition.variants, off)) {
    throw new UsageError(
      "E_FLAG_NO_OFF",
      off === undefined
        ? "No variant of the flag stands for off: none is false, and none is called off"
        : `The flag has no variant "${off}"`,
      {
        hint: `name one with --variant: ${Object.keys(definition.variants).join(", ")}`,
      },
    );
  }
  const { targeting: _, ...rest } = definition;
  return {
    ...rest,
    state: "ENABLED",
    defaultVariant: off,
    metadata: { ...definition.metadata, ...metadata },
  };
}
