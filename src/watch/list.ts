import { z } from "zod";
import { columns } from "../core/columns.ts";
import { formatDuration } from "../core/duration.ts";
import { defineOperation } from "../run/operation.ts";
import { standingOf, watchesOf } from "./find.ts";

const listed = z.object({
  run: z.string(),
  id: z.string().describe("Tells several watches of one run apart"),
  watch: z.string(),
  gate: z.string(),
  standing: z
    .enum(["watching", "acting", "cut-off", "pass", "triggered", "stopped", "unseen"])
    .describe("cut-off: its process is gone, and ops runs resume goes on with it"),
  startedAt: z.string(),
  until: z.string(),
  looks: z.number(),
  noGoes: z.number(),
  missed: z.number().describe("Looks that were not made"),
  by: z.string(),
});

const output = z.object({ watches: z.array(listed), at: z.string() });

export const list = defineOperation({
  name: "watch.list",
  summary: "The watches of this machine, newest first",
  example: "watch list",
  effect: "read",
  input: z.strictObject({
    all: z.boolean().default(false).describe("Also those that are over"),
  }),
  output,
  observe: async () => null,
  plan: () => [],
  apply: async (context, { all }) => {
    const records = await watchesOf(context);
    return {
      at: context.clock.now().toISOString(),
      watches: records
        .filter(({ state }) => all || state.phase !== "over")
        .map((record) => ({
          run: record.run,
          id: record.state.id,
          watch: record.state.title,
          gate: record.state.gate,
          standing: standingOf(record),
          startedAt: record.state.startedAt,
          until: record.state.until,
          looks: record.state.looks,
          noGoes: record.state.noGoes,
          missed: record.state.gaps.missed,
          by: record.actor,
        })),
    };
  },
  render: ({ watches, at }) => {
    if (watches.length === 0) return "no watch goes on; those that are over: ops watch list --all";
    const rows = watches.map((each) => {
      const left = Date.parse(each.until) - Date.parse(at);
      const isOver = !["watching", "acting", "cut-off"].includes(each.standing);
      return [
        each.run,
        each.standing,
        each.watch,
        String(each.looks),
        String(each.noGoes),
        String(each.missed),
        isOver ? "–" : formatDuration(Math.max(0, left)),
      ];
    });
    const lines = columns(
      [["RUN", "STANDING", "WATCH", "LOOKS", "NO-GO", "MISSED", "LEFT"], ...rows],
      new Set([3, 4, 5, 6]),
    );
    const cut = watches.find(({ standing }) => standing === "cut-off");
    return [...lines, ...(cut === undefined ? [] : [`→ go on: ops runs resume ${cut.run}`])].join("\n");
  },
});
