import { z } from "zod";
import { formatDuration } from "../core/duration.ts";
import { defineOperation } from "../run/operation.ts";
import { findWatch, standingOf } from "./find.ts";
import { renderReport, reportOf, watchReport } from "./report.ts";

const watch = z
  .string()
  .default("last")
  .describe("The watch: its run, or the end of that; without one the newest");

const shown = z.object({
  standing: z.enum(["watching", "acting", "cut-off", "pass", "triggered", "stopped", "unseen"]),
  by: z.string(),
  leftMs: z.number().describe("Until its end by the clock; 0 where it is over"),
  newest: z.array(
    z.object({ check: z.string(), status: z.enum(["pass", "warn", "fail", "unknown"]), reason: z.string() }),
  ),
  counting: z.array(z.string()).describe("Triggers that have begun to count"),
  report: watchReport,
});

const signs = { pass: "✓", warn: "!", fail: "✗", unknown: "?" } as const;

export const show = defineOperation({
  name: "watch.show",
  summary: "How a watch stands at this moment",
  example: "watch show last",
  effect: "read",
  input: z.strictObject({ watch }),
  positional: ["watch"],
  output: shown,
  observe: async () => null,
  plan: () => [],
  apply: async (context, input) => {
    const record = await findWatch(context, input.watch);
    const { state } = record;
    const left = Date.parse(state.until) - context.clock.now().getTime();
    return {
      standing: standingOf(record),
      by: record.actor,
      leftMs: state.phase === "over" ? 0 : Math.max(0, left),
      newest: state.checks.flatMap(({ id, newest }) =>
        newest === null ? [] : [{ check: id, status: newest.status, reason: newest.reason }],
      ),
      counting: Object.entries(state.streaks)
        .filter(([, { looks }]) => looks > 0)
        .map(([text, { looks, ms }]) => `${text}: ${looks} looks, ${formatDuration(ms)}`),
      report: reportOf(state, record.run),
    };
  },
  render: ({ standing, by, leftMs, newest, counting, report }) => {
    const width = Math.max(0, ...newest.map(({ check }) => check.length));
    const next = {
      "cut-off": `→ go on: ops runs resume ${report.run}`,
      watching: `→ end it: ops watch stop ${report.run}`,
    };
    return [
      `watch of gate ${report.gate}: ${standing}${leftMs === 0 ? "" : `, ${formatDuration(leftMs)} left`}, by ${by}`,
      ...newest.map(({ check, status, reason }) => `${signs[status]} ${check.padEnd(width)}  ${reason}`),
      ...counting.map((each) => `counting ${each}`),
      ...renderReport(report).split("\n").slice(1),
      ...(standing === "cut-off" || standing === "watching" ? [next[standing]] : []),
    ].join("\n");
  },
});

export const report = defineOperation({
  name: "watch.report",
  summary: "What a watch has seen and done: looks, gaps, checks, trigger, action",
  example: "watch report 20261121-094512-k3x9 --json",
  effect: "read",
  input: z.strictObject({ watch }),
  positional: ["watch"],
  output: watchReport,
  observe: async () => null,
  plan: () => [],
  apply: async (context, input) => {
    const { state, run } = await findWatch(context, input.watch);
    return reportOf(state, run);
  },
  render: renderReport,
});
