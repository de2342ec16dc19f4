import { z } from "zod";
import { formatPercent } from "../core/percent.ts";
import { defineOperation } from "../run/operation.ts";
import { readFlags } from "./flag-table.ts";
import { flagOutput, shownState } from "./shown.ts";
import { source, withFlagSource } from "./source.ts";

export const list = defineOperation({
  name: "flag.list",
  summary: "List all flags",
  example: "flag list",
  effect: "read",
  input: z.strictObject({ source }),
  output: z.object({
    flags: z
      .array(
        z.object({
          ...flagOutput,
          updatedAt: z.string().describe("When it was last changed (ISO 8601, UTC)"),
          updatedBy: z.string().nullable().describe("Who changed it last"),
        }),
      )
      .describe("In the order of their names"),
  }),
  observe: async () => null,
  plan: () => [],
  apply: async (context, input) => {
    const flags = await withFlagSource(context, input.source, readFlags);
    return {
      flags: flags.map((each) => ({
        flag: each.name,
        state: shownState(each),
        rollout: each.rollout,
        description: each.description,
        updatedAt: each.updatedAt,
        updatedBy: each.updatedBy,
      })),
    };
  },
  render: ({ flags }) => {
    if (flags.length === 0) return "there are no flags";
    const width = Math.max("FLAG".length, ...flags.map((each) => each.flag.length));
    const line = (flag: string, state: string, rollout: string, description: string) =>
      `${flag.padEnd(width)}  ${state.padEnd("STATE".length)}  ${rollout.padStart("ROLLOUT".length)}  ${description}`.trimEnd();
    return [
      line("FLAG", "STATE", "ROLLOUT", "DESCRIPTION"),
      ...flags.map((each) =>
        line(each.flag, each.state, formatPercent(each.rollout), each.description ?? ""),
      ),
    ].join("\n");
  },
});
