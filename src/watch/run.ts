import { formatDuration } from "../core/duration.ts";
import { ExitCode, type Json, OpsError } from "../core/errors.ts";
import { plannedCommand, showCommand } from "../process/command-line.ts";
import { requireProgram } from "../process/find-program.ts";
import { thisProcess } from "../process/live-process.ts";
import { namedEnvironment } from "../process/named-environment.ts";
import type { OperationContext } from "../run/context.ts";
import { LeftBehindRuns } from "../run/left-behind.ts";
import { defineOperation, type Report } from "../run/operation.ts";
import { runAction } from "./action.ts";
import { leaveBehind, noTicks, stopLeftBehind } from "./background.ts";
import { Keeper } from "./keeper.ts";
import { isOps } from "./own-command.ts";
import { actionText, renderReport, reportOf, type WatchReport, watchReport } from "./report.ts";
import { invalid, type WatchInput, type WatchSettings, watchInput, watchSettings } from "./settings.ts";
import { watchState } from "./state.ts";
import { watchGate } from "./watching.ts";

/** What a plan shows; it holds nothing that changes by itself. */
interface Before {
  readonly [key: string]: Json;
  readonly gate: string;
  readonly for: number;
  readonly every: number;
  readonly triggers: string[];
  readonly onFail: string[] | null;
}

/**
 * Takes no locks: it only reads, and its action does its own locking. Its checkpoints are its state, so that a resumed
 * run goes on with the time that is left and never runs the action twice.
 */
export const run = defineOperation({
  name: "watch.run",
  summary: "Measure a gate again and again for a while, and run a command once when it goes bad",
  example: "watch --gate post-deploy --for 48h --every 1m --on-fail 'ops runs rollback 20261121-094512-k3x9'",
  effect: "change",
  input: watchInput,
  positional: ["watch"],
  output: watchReport,
  async observe(context, input): Promise<Before> {
    const settings = await watchSettings(context, input);
    await requireAction(context, settings);
    return {
      gate: settings.gate,
      for: settings.for,
      every: settings.every,
      triggers: settings.triggers.map(({ text }) => text),
      onFail: settings.onFail === undefined ? null : [...settings.onFail],
    };
  },
  plan(before, { background }) {
    const watched = `watch gate ${before.gate} for ${formatDuration(before.for)}, every ${formatDuration(before.every)}${background ? ", behind this run" : ""}`;
    const target = `gate:${before.gate}`;
    const look = { target, action: "run" as const, summary: watched };
    if (before.onFail === null) return [look];
    const when = before.triggers.join(", or ");
    return [
      look,
      { target, action: "run" as const, summary: `on ${when}: ${plannedCommand(before.onFail)}` },
    ];
  },
  async apply(context, input, _before, report) {
    const settings = await watchSettings(context, input);
    if (input.background) return leaveBehind(context, input, settings, report);
    const keeper = await Keeper.open(context, report, settings);
    await holdOn(context, input, report);
    if (keeper.state.phase === "watching") await watchGate(context, settings, keeper, report);
    if (keeper.state.phase === "acting") await runAction(context, settings, keeper, report);
    const result = reportOf(keeper.state, context.runId ?? null);
    const failure = failureOf(result);
    if (failure === undefined) return result;
    // In one piece: of single lines a terminal keeps the newest few.
    report.log(renderReport(result));
    throw failure;
  },
  async undo(context, { background }, _before, report) {
    if (background) return stopLeftBehind(context, report);
    const action = watchState.safeParse(report.last).data?.action ?? null;
    if (action === null) return { undone: "kept", note: "a watch only looks" };
    return { undone: "kept", note: `its action stays: ${actionText(action)}` };
  },
  render: renderReport,
});

/** A program that is not there, or a word that ops does not know, must show now and not at three in the morning. */
async function requireAction(context: OperationContext, settings: WatchSettings): Promise<void> {
  const [program, ...words] = settings.onFail ?? [];
  if (program === undefined) return;
  if (isOps([program])) return requireOwnCommand(context, words);
  const { environment } = context;
  namedEnvironment(settings.variables);
  await requireProgram(program, environment.directory);
}

async function requireOwnCommand(context: OperationContext, words: readonly string[]): Promise<void> {
  try {
    await context.requireCommand(words);
  } catch (error) {
    if (!(error instanceof OpsError)) throw error;
    throw invalid(`on-fail would not run: ${error.message}`, error.hint ?? "see what there is: ops --help");
  }
}

/** Where this process ends too early, a tick of the schedules finds the run by what is written here. */
async function holdOn(context: OperationContext, input: WatchInput, report: Report): Promise<void> {
  const { runId, actor } = context;
  if (!input["leave-behind"] || runId === undefined) return;
  const runs = new LeftBehindRuns(context);
  await runs.add({ key: `run-${runId}`, actor, runbook: null, run: runId, process: { ...thisProcess() } });
  if (!(await runs.isTicking())) report.log(noTicks);
}

function failureOf(result: WatchReport): OpsError | undefined {
  const { verdict, action, trigger, gate, run: id } = result;
  const details = JSON.parse(JSON.stringify(result)) as Json;
  const report = id === null ? "see it: ops watch list" : `the whole report: ops watch report ${id}`;
  if (verdict === "unseen") {
    const { looks, gaps } = result;
    return new OpsError(
      "E_WATCH_UNSEEN",
      `The watch of gate ${gate} made ${looks} of ${looks + gaps.missed} looks, too few to say anything`,
      { exitCode: ExitCode.noGo, retryable: false, hint: "watch again, by a new run", details },
    );
  }
  if (verdict !== "triggered") return undefined;
  const why = `${trigger?.triggers.join(" and ") ?? ""} (${trigger?.reasons.join("; ") ?? ""})`;
  if (action === null || action.state === "done") {
    const then = action === null ? "" : `; ${actionText(action)}`;
    return new OpsError("E_WATCH_TRIGGERED", `The watch of gate ${gate} triggered: ${why}${then}`, {
      exitCode: ExitCode.noGo,
      retryable: false,
      hint: report,
      details,
    });
  }
  const unknown = action.state === "unknown";
  return new OpsError(
    unknown ? "E_WATCH_ACTION_UNKNOWN" : "E_WATCH_ACTION_FAILED",
    `The watch of gate ${gate} triggered: ${why}; its action needs a person: ${actionText(action)}`,
    {
      exitCode: ExitCode.needsPerson,
      retryable: false,
      hint: unknown
        ? `see what it did, then run it by hand if need be: ${showCommand(action.words)}`
        : `mend what stopped it, then run it by hand: ${showCommand(action.words)}`,
      details,
    },
  );
}
