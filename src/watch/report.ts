import { z } from "zod";
import { columns } from "../core/columns.ts";
import { formatDuration } from "../core/duration.ts";
import { showCommand } from "../process/command-line.ts";
import { medianOf } from "./series.ts";
import { type CheckTally, type WatchState, watchState } from "./state.ts";
import { shownValue } from "./value.ts";

/** What is left of a watch: how often it looked, what it saw, what it did. */

const checkReport = z.object({
  id: z.string(),
  unit: watchState.shape.checks.element.shape.unit,
  looks: z.number(),
  pass: z.number(),
  warn: z.number(),
  fail: z.number(),
  unknown: z.number(),
  worst: z.number().nullable().describe("Null where it has no numbers"),
  median: z.number().nullable().describe("Of at most 120 looks, evenly spaced"),
  failures: z.number().describe("Times that it began to fail"),
  failingMs: z.number().describe("Milliseconds that it was seen failing, in all"),
  longestMs: z.number(),
  newest: z.string().nullable().describe("What its newest look said"),
});

export const watchReport = z.object({
  watch: z.string().describe("Its name in .opsrc, or the gate's"),
  gate: z.string(),
  verdict: z
    .enum(["pass", "triggered", "stopped", "unseen", "left-behind"])
    .nullable()
    .describe(
      "Null while it goes on; unseen: too few looks were made to say anything; left-behind: it goes on in a run of its own",
    ),
  run: z.string().nullable(),
  startedAt: z.string(),
  until: z.string(),
  looks: z.number(),
  noGoes: z.number().describe("Looks at which the gate said no-go"),
  gaps: watchState.shape.gaps,
  checks: z.array(checkReport),
  badLooks: watchState.shape.bad,
  trigger: watchState.shape.trigger,
  action: watchState.shape.action.unwrap().omit({ process: true }).nullable(),
  stopped: watchState.shape.stopped,
});
export type WatchReport = z.output<typeof watchReport>;

export function reportOf(state: WatchState, run: string | null): WatchReport {
  const { action } = state;
  return {
    watch: state.title,
    gate: state.gate,
    verdict: state.verdict,
    run,
    startedAt: state.startedAt,
    until: state.until,
    looks: state.looks,
    noGoes: state.noGoes,
    gaps: state.gaps,
    checks: state.checks.map(ofCheck),
    badLooks: state.bad,
    trigger: state.trigger,
    action: action === null ? null : withoutProcess(action),
    stopped: state.stopped,
  };
}

function withoutProcess({ process: _, ...rest }: NonNullable<WatchState["action"]>) {
  return rest;
}

function ofCheck(tally: CheckTally): WatchReport["checks"][number] {
  const { pass = 0, warn = 0, fail = 0, unknown = 0 } = tally.counts;
  return {
    id: tally.id,
    unit: tally.unit,
    looks: tally.looks,
    pass,
    warn,
    fail,
    unknown,
    worst: tally.worst === "most" ? tally.most : tally.least,
    median: medianOf(tally.series),
    failures: tally.failures,
    failingMs: Math.round(tally.failingMs),
    longestMs: Math.round(tally.longestMs),
    newest: tally.newest?.reason ?? null,
  };
}

/** For a terminal or a pipe. */
export function renderReport(report: WatchReport): string {
  const { gaps, trigger, action, stopped } = report;
  if (report.verdict === "left-behind") return leftBehindLines(report).join("\n");
  const of = report.looks + gaps.missed;
  return [
    `watch of gate ${report.gate}: ${verdictText(report)}`,
    `  ${minute(report.startedAt)} to ${minute(report.until)} UTC`,
    `  ${report.looks} of ${of} looks${gaps.missed === 0 ? "" : ` (${gaps.count === 1 ? "a gap" : `${gaps.count} gaps`} of ${gaps.missed} looks that nobody made)`}, ${report.noGoes} of them no-go`,
    ...gaps.newest.slice(-5).map((gap) => `  gap: ${minute(gap.from)} to ${minute(gap.to)}`),
    ...tableOf(report.checks),
    ...(trigger === null
      ? []
      : [
          `  triggered ${minute(trigger.at)} by ${trigger.triggers.join(" and by ")}`,
          ...trigger.reasons.map((reason) => `    ${reason}`),
        ]),
    ...(stopped === null
      ? []
      : [`  stopped by ${stopped.by}${stopped.reason === null ? "" : `: ${stopped.reason}`}`]),
    ...(action === null
      ? []
      : [`  action: ${actionText(action)}`, ...action.output.map((each) => `    ${each}`)]),
  ].join("\n");
}

function leftBehindLines({ gate, run, until }: WatchReport): string[] {
  return [
    `watch of gate ${gate}: goes on behind this run until ${minute(until)} UTC`,
    run === null
      ? "  see it: ops watch list"
      : `  see it: ops watch show ${run}; end it: ops watch stop ${run}`,
  ];
}

function verdictText({ verdict, action }: WatchReport): string {
  switch (verdict) {
    case "pass":
      return "pass, no trigger fired";
    case "triggered":
      return action === null ? "triggered" : `triggered, its action ${{ ...outcomes }[action.state]}`;
    case "stopped":
      return "stopped before its end";
    case "unseen":
      return "unseen: too few looks were made to say anything";
    default:
      return "goes on";
  }
}

const outcomes = {
  intended: "has not begun",
  started: "goes on",
  retrying: "waits for a lock",
  done: "is done",
  failed: "failed",
  unknown: "was cut off",
} as const;

/** What was run and what came of it, in a clause. */
export function actionText(action: NonNullable<WatchReport["action"]>): string {
  const shown = showCommand(action.words);
  const again = action.repeated ? ", run a second time because the first one was cut off" : "";
  if (action.problem !== null) return `${shown}: ${action.problem}${again}`;
  return `${shown} ${outcomes[action.state]}${again}`;
}

function tableOf(checks: WatchReport["checks"]): string[] {
  if (checks.length === 0) return [];
  const rows = checks.map((each) => [
    each.id,
    String(each.looks - each.fail - each.unknown),
    String(each.fail),
    String(each.unknown),
    shownValue(each.median, each.unit),
    shownValue(each.worst, each.unit),
    each.failures === 0
      ? "–"
      : `${each.failures === 1 ? "once" : `${each.failures} times`}, ${formatDuration(each.failingMs)} in all`,
  ]);
  const heading = ["CHECK", "GOOD", "FAILED", "UNKNOWN", "MEDIAN", "WORST", "FAILING"];
  return columns([heading, ...rows], new Set([1, 2, 3, 4, 5])).map((line) => `  ${line}`);
}

function minute(at: string): string {
  return at.slice(0, 19).replace("T", " ");
}
