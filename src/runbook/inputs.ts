import { type Json, UsageError } from "../core/errors.ts";
import { suggestion } from "../core/suggestion.ts";
import type { Runbook } from "./runbook.ts";
import type { InputSettings } from "./schema.ts";

/** `--input k=v` texts and defaults as typed values. Throws `E_INPUT` for one that is unknown, missing or of the wrong type. */
export function resolveInputs(
  runbook: Runbook,
  given: Readonly<Record<string, string>>,
): Record<string, Json> {
  for (const name of Object.keys(given)) {
    if (!Object.hasOwn(runbook.inputs, name)) {
      throw new UsageError("E_INPUT", `The runbook ${runbook.name} has no input "${name}"`, {
        hint:
          Object.keys(runbook.inputs).length === 0
            ? "it has no inputs"
            : suggestion(name, Object.keys(runbook.inputs)),
      });
    }
  }
  return Object.fromEntries(
    Object.entries(runbook.inputs).map(([name, input]) => {
      const text = given[name];
      if (text !== undefined) return [name, typed(name, input, text)];
      if (input.default !== undefined) return [name, input.default];
      throw new UsageError("E_INPUT", `The runbook ${runbook.name} needs the input "${name}"`, {
        hint: `add --input ${name}=…${input.description === undefined ? "" : ` (${input.description})`}`,
      });
    }),
  );
}

function typed(name: string, input: InputSettings, text: string): Json {
  const value =
    input.type === "number" && text.trim() !== ""
      ? Number(text)
      : input.type === "boolean"
        ? booleans[text]
        : text;
  if (value === undefined || typeof value !== input.type || Number.isNaN(value)) {
    throw new UsageError("E_INPUT", `The input ${name} must be a ${input.type}, not "${text}"`, {
      hint: input.type === "boolean" ? "write true or false" : "write a number",
    });
  }
  if (input.options !== undefined && !input.options.includes(value as string | number)) {
    throw new UsageError("E_INPUT", `The input ${name} cannot be "${text}"`, {
      hint: suggestion(text, input.options.map(String)),
    });
  }
  return value;
}

const booleans: Readonly<Record<string, boolean>> = { true: true, false: false };
