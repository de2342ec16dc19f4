import type { z } from "zod";
import type { Json } from "../core/errors.ts";
import { UsageError } from "../core/errors.ts";

/** How a field of an operation's input looks on the command line. */
export interface FieldOption {
  /** `abort-when` */
  readonly key: string;
  readonly kind: "boolean" | "text" | "number" | "list" | "mapping";
  readonly required: boolean;
  readonly description: string;
  /** As it is written, for --help. */
  readonly defaultValue: string | undefined;
}

type Definition = {
  readonly type: string;
  readonly innerType?: z.core.$ZodType;
  readonly in?: z.core.$ZodType;
  readonly options?: readonly z.core.$ZodType[];
  readonly defaultValue?: unknown;
  readonly entries?: Readonly<Record<string, string>>;
};

export function fieldOptions(input: z.ZodObject): FieldOption[] {
  return Object.entries(input.shape).map(([key, field]) => {
    const chain = unwrap(field as z.core.$ZodType);
    const inner = chain.at(-1);
    const optional = chain.some(
      (each) => each.type === "optional" || each.type === "default" || each.type === "prefault",
    );
    const standard = chain.find((each) => each.type === "default" || each.type === "prefault")?.defaultValue;
    const choices = inner?.type === "enum" ? ` (${Object.values(inner.entries ?? {}).join(" | ")})` : "";
    return {
      key,
      kind: kindOf(inner),
      required: !optional,
      description: describe(field as z.ZodType) + choices,
      defaultValue: standard === undefined ? undefined : shown(standard),
    };
  });
}

/** What was typed, as the data the operation's input expects. */
export function fieldValue(option: FieldOption, typed: unknown): Json | undefined {
  if (typed === undefined) return undefined;
  switch (option.kind) {
    case "boolean":
      return typed === true;
    case "number":
      return Number.isNaN(Number(typed)) || typed === "" ? String(typed) : Number(typed);
    case "list":
      // A list of one may be typed with commas: --steps 10%,50%,100%
      return (Array.isArray(typed) ? typed.map(String) : [String(typed)]).flatMap((each, _, all) =>
        all.length === 1 && !each.includes(" ") ? each.split(",") : [each],
      );
    case "mapping":
      return Object.fromEntries(
        (Array.isArray(typed) ? typed : [typed]).map((each) => pair(option.key, String(each))),
      );
    case "text":
      return String(typed);
  }
}

function pair(key: string, text: string): [string, string] {
  const at = text.indexOf("=");
  if (at > 0) return [text.slice(0, at), text.slice(at + 1)];
  throw new UsageError("E_USAGE", `--${key} takes name=value, not "${text}"`);
}

function unwrap(schema: z.core.$ZodType): Definition[] {
  const definition = schema._zod.def as unknown as Definition;
  const inner =
    definition.innerType ??
    definition.in ??
    (definition.type === "union" ? textBranch(definition) : undefined);
  return inner === undefined ? [definition] : [definition, ...unwrap(inner)];
}

/** Of several forms the command line offers the richest one that can be typed. */
function textBranch(union: Definition): z.core.$ZodType | undefined {
  const branches = union.options ?? [];
  const byType = (type: string) =>
    branches.find((each) => (each._zod.def as unknown as Definition).type === type);
  return byType("array") ?? byType("string") ?? branches[0];
}

function kindOf(definition: Definition | undefined): FieldOption["kind"] {
  switch (definition?.type) {
    case "boolean":
      return "boolean";
    case "number":
    case "int":
      return "number";
    case "array":
      return "list";
    case "object":
    case "record":
      return "mapping";
    default:
      return "text";
  }
}

function describe(field: z.ZodType): string {
  if (field.description !== undefined) return field.description;
  const inner =
    (field._zod.def as unknown as Definition).innerType ?? (field._zod.def as unknown as Definition).in;
  return inner === undefined ? "" : describe(inner as z.ZodType);
}

function shown(value: unknown): string {
  if (Array.isArray(value)) return value.map(String).join(",");
  if (typeof value === "object" && value !== null) {
    return Object.entries(value)
      .map(([key, each]) => `${key}=${String(each)}`)
      .join(" ");
  }
  return String(value);
}
