import { z } from "zod";
import { UsageError } from "../core/errors.ts";
import { suggestion } from "../core/suggestion.ts";
import { visibleLine } from "../core/visible.ts";
import type { FlagDefinition } from "../flag-source/definition.ts";
import type { FlagChange } from "../flag-source/flag-source.ts";
import { defineOperation } from "../run/operation.ts";
import { describeFlag } from "./shown.ts";
import { flagName, source, withFlagSource } from "./source.ts";

const shownChange = z.object({
  at: z.string().describe("ISO 8601, UTC"),
  actor: z.string().describe("Who"),
  run: z.string().nullable().describe("In which run: ops runs show"),
  operation: z.string().describe("What was done"),
  reason: z.string().nullable().describe("Why"),
  subject: z.enum(["flag", "segment", "metadata"]),
  name: z.string(),
  before: z.json().nullable(),
  after: z.json().nullable(),
});

type ShownChange = z.output<typeof shownChange>;

export const history = defineOperation({
  name: "flag.history",
  summary: "Show who changed a flag, when, in which run, why, and from what to what",
  example: "flag history new-checkout",
  effect: "read",
  input: z.strictObject({
    flag: flagName.describe("The flag; default: all of them").optional(),
    limit: z
      .number()
      .int()
      .min(1, "must be at least 1")
      .describe("How many changes, the newest first")
      .default(20),
    source,
  }),
  positional: ["flag"],
  output: z.object({
    changes: z.array(shownChange),
  }),
  observe: async () => null,
  plan: () => [],
  apply: (context, { flag, limit, source }) =>
    withFlagSource(context, source, async (opened) => {
      const changes = await opened.changes({ flag, limit });
      if (changes.length === 0 && flag !== undefined) {
        const { flags } = await opened.read();
        if (!flags.has(flag)) {
          throw new UsageError("E_FLAG_UNKNOWN", `There is no flag "${flag}", and there never was`, {
            hint: suggestion(flag, flags.keys()),
          });
        }
      }
      return { changes: changes as ShownChange[] };
    }),
  render: ({ changes }) => {
    if (changes.length === 0) return "ops has changed nothing";
    return (changes as FlagChange[])
      .map(({ at, actor, run, operation, reason, subject, name, before, after }) =>
        [
          `${at}  ${subject === "flag" ? "" : `${subject} `}${name}  ${operation} by ${actor}${run === null ? "" : ` (run ${run})`}`,
          `  ${described(subject, before)} → ${described(subject, after)}`,
          ...(reason === null ? [] : [`  because: ${reason}`]),
        ]
          .map(visibleLine)
          .join("\n"),
      )
      .join("\n");
  },
});

function described(subject: FlagChange["subject"], value: FlagChange["after"]): string {
  if (value === null) return "nothing";
  return subject === "flag" ? describeFlag(value as FlagDefinition) : JSON.stringify(value);
}
