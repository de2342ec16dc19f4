import { z } from "zod";
import type { Json } from "../core/errors.ts";
import type { FlagSet } from "../flag-source/flag-set.ts";

export const evaluationOutput = z.object({
  value: z.json().nullable().describe("What the user gets; null where the default in the code counts"),
  variant: z.string().nullable().describe("The variant's name; null where the default in the code counts"),
  reason: z.string().describe("STATIC, DEFAULT, TARGETING_MATCH, DISABLED or ERROR"),
  error: z.string().optional().describe("What is wrong with the flag"),
  bucket: z
    .number()
    .optional()
    .describe("Where the user stands in the flag's shares, 0–100, as flagd computes it"),
  differs: z
    .boolean()
    .optional()
    .describe("Whether JavaScript SDKs put this user elsewhere: its key is not ASCII"),
});

export type ShownEvaluation = z.output<typeof evaluationOutput>;

/** Loaded only when something is evaluated: flagd-core and the compiler of JsonLogic are large. */
export async function evaluateFor(
  set: FlagSet,
  flag: string,
  context: Readonly<Record<string, Json>>,
): Promise<ShownEvaluation> {
  const [{ Evaluator }, { bucket, isAscii }] = await Promise.all([
    import("../flag-source/evaluator.ts"),
    import("../flag-source/bucket.ts"),
  ]);
  const { value, variant, reason, errorMessage } = new Evaluator(set).evaluate(flag, context);
  const key = context.targetingKey;
  return {
    value: (value ?? null) as ShownEvaluation["value"],
    variant: variant ?? null,
    reason,
    ...(errorMessage !== undefined && { error: errorMessage }),
    ...(typeof key === "string" && key !== "" && { bucket: Number(bucket(flag, key).toFixed(6)) }),
    ...(typeof key === "string" && !isAscii(flag + key) && { differs: true }),
  };
}

/** `new-checkout is on (true), by its targeting; bucket 8.57` */
export function renderEvaluation(flag: string, evaluation: ShownEvaluation): string {
  const { value, variant, reason, error, bucket, differs } = evaluation;
  const why: Readonly<Record<string, string>> = {
    STATIC: "its default variant, it has no rules",
    DEFAULT: "its default variant, no rule gives one",
    TARGETING_MATCH: "by its rules",
    DISABLED: "it is disabled",
  };
  const what = variant === null ? "the default in the code" : `${variant}${shownValue(variant, value)}`;
  const lines = [
    `${flag} gives ${what}: ${error ?? why[reason] ?? reason}${bucket === undefined ? "" : ` (bucket ${bucket.toFixed(2)})`}`,
  ];
  if (differs === true) {
    lines.push(
      "this is the answer of JavaScript SDKs; flagd itself may differ, as the key is not ASCII (docs/flags.md)",
    );
  }
  return lines.join("\n");
}

function shownValue(variant: string, value: Json): string {
  const text = JSON.stringify(value);
  return text === JSON.stringify(variant) ? "" : ` (${text})`;
}
