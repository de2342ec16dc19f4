import { z } from "zod";
import { type Json, UsageError } from "../core/errors.ts";
import { type FlagDefinition, type Kind, offVariantKey, type Variants } from "../flag-source/definition.ts";
import { turnedOff } from "../flag-source/off.ts";
import { booleanFlag } from "../flag-source/simple-flag.ts";
import { defineFlagChange } from "./change.ts";
import { people, withMetadata, withPeople } from "./set.ts";

export const create = defineFlagChange({
  name: "flag.new",
  summary: "Make a flag; it is off until it is set or rolled out",
  example: "flag new button --type string --variants plain=grey loud=red --off plain --owner shop",
  verb: "create flag",
  makes: true,
  input: {
    type: z
      .enum(["boolean", "string", "number", "object"])
      .describe("What its values are")
      .default("boolean"),
    variants: z
      .record(z.string().min(1, "a variant needs a name"), z.string())
      .describe("Names and values; an object as JSON. Default for a boolean flag: on and off")
      .optional(),
    off: z.string().describe("The variant that stands for off, and is given until the flag is on").optional(),
    ...people,
  },
  edit: (before, input) => {
    if (before !== null) {
      throw new UsageError("E_FLAG_EXISTS", `There is a flag ${input.flag} already`, {
        hint: `change it with ops flag set ${input.flag}, or choose another name`,
      });
    }
    return withPeople(start(input.type, input.variants, input.off), input);
  },
});

function start(
  type: Kind,
  texts: Readonly<Record<string, string>> | undefined,
  off: string | undefined,
): FlagDefinition {
  if (type === "boolean" && texts === undefined) return turnedOff(booleanFlag(100, {}));
  const variants: Variants = Object.fromEntries(
    Object.entries(texts ?? {}).map(([name, text]) => [name, parsedValue(type, name, text)]),
  );
  const names = Object.keys(variants);
  const isFalse = names.find((each) => variants[each] === false);
  const found = off ?? isFalse ?? (names.includes("off") ? "off" : undefined);
  if (found === undefined || !names.includes(found)) {
    throw new UsageError(
      "E_INPUT",
      names.length === 0
        ? `A flag of type ${type} needs variants`
        : `Which variant stands for off${found === undefined ? "" : `? There is no "${found}"`}`,
      {
        hint:
          names.length === 0
            ? "add --variants NAME=VALUE NAME=VALUE and --off NAME"
            : `add --off, one of: ${names.join(", ")}`,
      },
    );
  }
  const definition: FlagDefinition = { state: "ENABLED", variants, defaultVariant: found };
  return found === isFalse || found === "off"
    ? definition
    : withMetadata(definition, { [offVariantKey]: found });
}

function parsedValue(type: Kind, name: string, text: string): Json {
  if (type === "string") return text;
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    value = undefined;
  }
  if (value !== undefined && value !== null && typeof value === type) return value as Json;
  throw new UsageError("E_INPUT", `The value of variant ${name} is no ${type}: ${text}`, {
    hint:
      type === "object"
        ? "write it as JSON: '{\"limit\": 10}'"
        : `write it as ${type === "number" ? "10" : "true or false"}`,
  });
}
