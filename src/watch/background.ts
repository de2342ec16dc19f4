import { randomInt } from "node:crypto";
import { stringify } from "yaml";
import { z } from "zod";
import { OpsError } from "../core/errors.ts";
import type { OperationContext } from "../run/context.ts";
import { findJournaledRun } from "../run/journaled-run.ts";
import { LeftBehindRuns } from "../run/left-behind.ts";
import type { Report, UndoResult } from "../run/operation.ts";
import { WatchFiles } from "./files.ts";
import type { WatchReport } from "./report.ts";
import type { WatchInput, WatchSettings } from "./settings.ts";

/** What a step that leaves its watch behind keeps: by its key the watch is found again, and begun once. */
const checkpoint = z.object({ kind: z.literal("left-behind"), key: z.string(), actor: z.string() });
type Checkpoint = z.output<typeof checkpoint>;

/** Milliseconds that the watch may take to begin its run, and between two looks at whether it has. */
const [patience, lookEvery] = [30_000, 100];

/** Leaves the watch behind as a process with a run of its own; returns when that run has begun. */
export async function leaveBehind(
  context: OperationContext,
  input: WatchInput,
  settings: WatchSettings,
  report: Report,
): Promise<WatchReport> {
  const { clock, stateDirectory } = context;
  const left = checkpoint.safeParse(report.last).data ?? newCheckpoint(context);
  await report.checkpoint(left);
  const runs = new LeftBehindRuns(context);
  const find = () => findJournaledRun(stateDirectory, clock, left.actor);
  if ((await find()) === undefined) {
    await runs.add({ ...left, runbook: runbookOf(settings, input), run: null, process: null });
    const [taken] = await runs.lookAfter(left.key);
    if (taken?.what === "failed") throw notBegun(taken.problem ?? "");
  }
  const end = clock.elapsed() + patience;
  for (;;) {
    const run = await find();
    if (run !== undefined) {
      report.log(`the watch of gate ${settings.gate} goes on in run ${run.id}`);
      if (!(await runs.isTicking())) report.log(noTicks);
      return reportOfLeft(context, settings, run.id);
    }
    if (clock.elapsed() > end) throw notBegun(await runs.log(left.key));
    await clock.sleep(lookEvery, context.signal);
  }
}

/** After a reboot nobody would take it up. */
export const noTicks =
  "! nothing calls ops schedule run-due on this machine, so nobody takes the watch up after a reboot: ops schedule install --cron";

/** The release is taken back: its watch has nothing left to watch. */
export async function stopLeftBehind(context: OperationContext, report: Report): Promise<UndoResult> {
  const left = checkpoint.safeParse(report.last).data;
  if (left === undefined) return { undone: true, note: "the watch was not left behind yet" };
  const runs = new LeftBehindRuns(context);
  const run = await findJournaledRun(context.stateDirectory, context.clock, left.actor);
  if (run === undefined) {
    await runs.abandon(left.key);
    return { undone: true, note: "the watch had not begun" };
  }
  const at = context.clock.now().toISOString();
  const request = { by: context.actor, reason: "what it watched is taken back", at };
  // Of the run, which is there before its watch has looked for the first time.
  await new WatchFiles(context).askToStop(run.id, request);
  return { undone: true, note: `the watch in run ${run.id} was asked to stop` };
}

function newCheckpoint({ runId, actor }: OperationContext): Checkpoint {
  const token = randomInt(36 ** 6)
    .toString(36)
    .padStart(6, "0");
  const key = `watch-${runId ?? "none"}-${token}`;
  return { kind: "left-behind", key, actor: `${actor}, left behind as ${key}` };
}

/** The watch as a runbook of one step: its input is checked and its run resumed as any other's. */
function runbookOf(settings: WatchSettings, input: WatchInput): string {
  const written = (ms: number | undefined) => (ms === undefined ? undefined : `${ms}ms`);
  const given = {
    ...input,
    for: written(settings.for),
    every: written(settings.every),
    "on-fail-timeout": written(settings.onFailTimeout),
    timeout: written(settings.timeout),
    "on-fail": settings.onFail === undefined ? undefined : [...settings.onFail],
    trigger: input.trigger?.map((each) => ({
      ...each,
      fail: each.fail?.text,
      for: written(each.for),
    })),
    background: undefined,
    "leave-behind": undefined,
  };
  const entries = Object.entries(given).flatMap(([key, value]) =>
    value === undefined ? [] : [[key, JSON.parse(JSON.stringify(value))]],
  );
  return stringify({
    name: `watch-${settings.title}`,
    description: `The watch of gate ${settings.gate}`,
    steps: [{ id: "watch", uses: "watch.run", with: Object.fromEntries(entries) }],
  });
}

function reportOfLeft(context: OperationContext, settings: WatchSettings, run: string): WatchReport {
  const now = context.clock.now();
  return {
    watch: settings.title,
    gate: settings.gate,
    verdict: "left-behind",
    run,
    startedAt: now.toISOString(),
    until: new Date(now.getTime() + settings.for).toISOString(),
    looks: 0,
    noGoes: 0,
    gaps: { count: 0, missed: 0, newest: [] },
    checks: [],
    badLooks: { count: 0, first: [], newest: [] },
    trigger: null,
    action: null,
    stopped: null,
  };
}

function notBegun(said: string): OpsError {
  return new OpsError("E_WATCH_NOT_BEGUN", "The watch that was to be left behind did not begin", {
    cause: said === "" ? undefined : said,
    hint: "see whether it works in the foreground: ops watch, without background",
  });
}
