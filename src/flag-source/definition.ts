import { z } from "zod";
import { canonicalJson, digest } from "../core/digest.ts";
import type { Json } from "../core/errors.ts";

/** What metadata may hold: flagd allows no lists and objects there. */
export type Scalar = string | number | boolean;

export type Variants = { [name: string]: Json };

/** A flag in flagd's definition format (https://flagd.dev/reference/flag-definitions/). */
export type FlagDefinition = {
  /** DISABLED: whoever asks gets the default value in its own code. */
  state: "ENABLED" | "DISABLED";
  variants: Variants;
  defaultVariant?: string | null;
  /** JsonLogic that gives the name of a variant; null or nothing: the default variant. */
  targeting?: Json;
  metadata?: { [key: string]: Scalar };
};

/** A rule of JsonLogic. */
export type Rule = Json;

const scalar = z.union([z.string(), z.number(), z.boolean()]);

/** What is needed to read a definition at all; the rest is for lint (`./lint.ts`). */
export const definitionSchema = z.looseObject({
  state: z.enum(["ENABLED", "DISABLED"]),
  variants: z.record(z.string(), z.json()),
  defaultVariant: z.string().nullable().optional(),
  targeting: z.record(z.string(), z.json()).optional(),
  metadata: z.record(z.string(), scalar).optional(),
});

/** A document of flagd: what a file holds, and what an export gives. */
export const documentSchema = z.looseObject({
  flags: z.record(z.string(), definitionSchema).default({}),
  $evaluators: z.record(z.string(), z.record(z.string(), z.json())).optional(),
  metadata: z.record(z.string(), scalar).optional(),
});

export type FlagDocument = {
  flags: { [name: string]: FlagDefinition };
  $evaluators?: { [name: string]: Rule };
  metadata?: { [key: string]: Scalar };
};

export type Kind = "boolean" | "string" | "number" | "object";

/** Of its variants' values; undefined where they have none or several. */
export function kindOf({ variants }: Pick<FlagDefinition, "variants">): Kind | undefined {
  const kinds = new Set(Object.values(variants).map((each) => typeof each));
  const [kind] = kinds;
  if (kinds.size !== 1) return undefined;
  return kind === "boolean" || kind === "string" || kind === "number" || kind === "object" ? kind : undefined;
}

/** Key of the metadata that names the variant which turns a flag off, where none has the value false. */
export const offVariantKey = "off-variant";

/** The variant that stands for "off": named by metadata, the one that is false, or the one called `off`. */
export function offVariant({ variants, metadata }: FlagDefinition): string | undefined {
  const named = metadata?.[offVariantKey];
  if (typeof named === "string") return Object.hasOwn(variants, named) ? named : undefined;
  const isFalse = Object.entries(variants).find(([, value]) => value === false)?.[0];
  return isFalse ?? (Object.hasOwn(variants, "off") ? "off" : undefined);
}

/** The variant that a rollout gives: the one that is true, or the only one that is not "off". */
export function onVariant(definition: FlagDefinition): string | undefined {
  const isTrue = Object.entries(definition.variants).find(([, value]) => value === true)?.[0];
  if (isTrue !== undefined) return isTrue;
  const off = offVariant(definition);
  const others = Object.keys(definition.variants).filter((each) => each !== off);
  return off !== undefined && others.length === 1 ? others[0] : undefined;
}

/** Whether both say the same; the order of keys does not count. */
export function sameJson(a: Json | undefined, b: Json | undefined): boolean {
  // Most are written alike, and that is told ten times as fast.
  return a === b || JSON.stringify(a) === JSON.stringify(b) || canonicalJson(a) === canonicalJson(b);
}

/** The version of a definition: a change is refused where what is stored has another one by then. */
export function versionOf(definition: FlagDefinition | null | undefined): string | null {
  return definition === null || definition === undefined ? null : digest(canonicalJson(definition));
}

export function isRecord(value: Json | undefined): value is { [key: string]: Json | undefined } {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** The operator of a rule and what it is given, as a list; undefined for a plain value. */
export function operatorOf(rule: Json | undefined): [name: string, values: readonly Json[]] | undefined {
  if (!isRecord(rule)) return undefined;
  const entries = Object.entries(rule);
  const [entry] = entries;
  if (entries.length !== 1 || entry === undefined) return undefined;
  const [name, given = null] = entry;
  return [name, Array.isArray(given) ? given : [given]];
}

/** Whether a flag has rules at all: flagd takes an empty object for none. */
export function hasTargeting({ targeting }: FlagDefinition): boolean {
  return isRecord(targeting) && Object.keys(targeting).length > 0;
}
