import { z } from "zod";
import { columns } from "../core/columns.ts";
import { formatPercent } from "../core/percent.ts";
import { visibleLine } from "../core/visible.ts";
import { defineOperation } from "../run/operation.ts";
import { flagOutput, shown } from "./shown.ts";
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
          updatedAt: z.string().nullable().describe("When it was last changed (ISO 8601, UTC)"),
          updatedBy: z.string().nullable().describe("Who changed it last"),
        }),
      )
      .describe("In the order of their names"),
    unreadable: z.array(z.string()).describe("Flags whose definition somebody broke by hand: ops flag lint"),
  }),
  observe: async () => null,
  plan: () => [],
  apply: async (context, input) => {
    const { flags, unreadable } = await withFlagSource(context, input.source, (opened) => opened.read());
    return {
      flags: [...flags]
        .toSorted(([a], [b]) => (a < b ? -1 : 1))
        .map(([name, { definition, changedAt, changedBy }]) => ({
          ...shown(name, definition, context.clock.now()),
          updatedAt: changedAt,
          updatedBy: changedBy,
        })),
      unreadable: [...(unreadable?.keys() ?? [])],
    };
  },
  render: ({ flags, unreadable }) => {
    if (flags.length + unreadable.length === 0) return "there are no flags";
    const rows = [
      ["FLAG", "STATE", "ROLLOUT", "OWNER", "EXPIRES", "DESCRIPTION"],
      ...flags.map((each) => [
        visibleLine(each.flag),
        each.state,
        each.rollout === null ? "rules" : formatPercent(each.rollout),
        visibleLine(each.owner ?? "-"),
        visibleLine(each.expires ?? "-"),
        visibleLine(each.description ?? ""),
      ]),
    ];
    const mistakes = unreadable.map(
      (name) => `✖ ${visibleLine(name)} has a definition that is not one of flagd: ops flag lint`,
    );
    return [...columns(rows, new Set([2])), ...mistakes].join("\n");
  },
});
