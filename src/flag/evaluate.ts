import { z } from "zod";
import type { Json } from "../core/errors.ts";
import { defineOperation } from "../run/operation.ts";
import { evaluateFor, evaluationOutput, renderEvaluation } from "./evaluation.ts";
import { flagName, requireFlag, source, withFlagSource } from "./source.ts";

export const evaluate = defineOperation({
  name: "flag.eval",
  summary: "Show what somebody gets of a flag",
  example: "flag eval new-checkout --context targetingKey=4711 country=DE",
  effect: "read",
  input: z.strictObject({
    flag: flagName,
    context: z
      // Any JSON: as z.json() its schema would refer to itself, which the schema of runbooks has no place for.
      .record(z.string(), z.unknown())
      .describe('Who asks; a value that is JSON (10, true, [1]) is taken as such, "10" in quotes as a text')
      .optional(),
    source,
  }),
  positional: ["flag"],
  output: z.object({ flag: z.string(), context: z.record(z.string(), z.json()), ...evaluationOutput.shape }),
  observe: async () => null,
  plan: () => [],
  apply: async (context, input) => {
    const set = await withFlagSource(context, input.source, (opened) => opened.read());
    requireFlag(set, input.flag);
    const asked = Object.fromEntries(
      Object.entries(input.context ?? {}).map(([key, value]) => [key, parsedValue(key, value as Json)]),
    );
    return {
      flag: input.flag,
      context: asked as Record<string, z.output<ReturnType<typeof z.json>>>,
      ...(await evaluateFor(set, input.flag, asked)),
    };
  },
  render: ({ flag, context: _, ...evaluation }) => renderEvaluation(flag, evaluation),
});

/** The targeting key is always a text. */
function parsedValue(key: string, value: Json): Json {
  if (key === "targetingKey") return typeof value === "string" ? value : JSON.stringify(value);
  if (typeof value !== "string") return value;
  try {
    return JSON.parse(value) as Json;
  } catch {
    return value;
  }
}
