import { z } from "zod";
import { UsageError } from "../core/errors.ts";
import { formatPercent } from "../core/percent.ts";
import { suggestion } from "../core/suggestion.ts";
import { defineOperation } from "../run/operation.ts";
import { bucket, evaluate } from "./bucket.ts";
import { readFlags } from "./flag-table.ts";
import { flagOutput, shownState } from "./shown.ts";
import { flagName, source, withFlagSource } from "./source.ts";

export const get = defineOperation({
  name: "flag.get",
  summary: "Show a flag, or whether one user has it",
  example: "flag get session-pooling --user 4711",
  effect: "read",
  input: z.strictObject({
    flag: flagName,
    source,
    user: z.string().min(1, "must not be empty").describe("Evaluate the flag for this user").optional(),
  }),
  positional: ["flag"],
  output: z.object({
    ...flagOutput,
    updatedAt: z.string().describe("When it was last changed (ISO 8601, UTC)"),
    updatedBy: z.string().nullable().describe("Who changed it last"),
    user: z.string().describe("The user asked for").optional(),
    bucket: z.number().describe("Where the user stands in the rollout, 0–100").optional(),
    value: z.boolean().describe("Whether the user has the flag").optional(),
  }),
  // What it shows is read when it runs, not when a plan is made: an earlier step may make the flag.
  observe: async () => null,
  plan: () => [],
  apply: async (context, input) => {
    const flags = await withFlagSource(context, input.source, readFlags);
    const flag = flags.find((each) => each.name === input.flag);
    if (flag === undefined) {
      throw new UsageError("E_FLAG_UNKNOWN", `There is no flag "${input.flag}"`, {
        hint: suggestion(
          input.flag,
          flags.map((each) => each.name),
        ),
      });
    }
    const { user } = input;
    return {
      flag: flag.name,
      state: shownState(flag),
      rollout: flag.rollout,
      description: flag.description,
      updatedAt: flag.updatedAt,
      updatedBy: flag.updatedBy,
      ...(user === undefined ? {} : { user, bucket: bucket(flag.name, user), value: evaluate(flag, user) }),
    };
  },
  render: ({ flag, state, rollout, description, updatedAt, updatedBy, user, bucket, value }) => {
    const lines = [
      `flag ${flag} is ${state}, rollout ${formatPercent(rollout)}${description === null ? "" : `: ${description}`}`,
      `last changed ${updatedAt} by ${updatedBy ?? "nobody"}`,
    ];
    if (user !== undefined && bucket !== undefined) {
      lines.push(`user ${user} ${value === true ? "has" : "does not have"} it (bucket ${bucket.toFixed(2)})`);
    }
    return lines.join("\n");
  },
});
