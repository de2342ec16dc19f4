import { existsSync } from "node:fs";
import { readFile, rm } from "node:fs/promises";
import { formatDuration } from "../core/duration.ts";
import { ExitCode } from "../core/errors.ts";
import { mask, redact } from "../core/redaction.ts";
import { showCommand } from "../process/command-line.ts";
import { startGated } from "../process/gated-program.ts";
import { launcher } from "../process/launcher.ts";
import { liveness, type ProcessIdentity } from "../process/live-process.ts";
import { namedEnvironment } from "../process/named-environment.ts";
import { childEnvironment, killGroup } from "../process/run-program.ts";
import type { OperationContext } from "../run/context.ts";
import type { Report } from "../run/operation.ts";
import type { Keeper } from "./keeper.ts";
import { isOps, isRepeatable } from "./own-command.ts";
import type { WatchSettings } from "./settings.ts";
import type { ActionState } from "./state.ts";

/** Milliseconds between two looks at whether it has ended. */
const lookEvery = 50;
/** A lock that somebody else holds is waited for so long, in pauses that grow to the longest. Milliseconds. */
const lockPatience = 15 * 60_000;
const [shortestPause, longestPause] = [1000, 30_000];
/** Milliseconds from SIGTERM to SIGKILL: `ops` ends at a safe point. */
const insistAfter = 75_000;
/** Lines of its output that are kept, characters of one, and bytes of the log that are looked at. */
const [linesKept, longestLine, tailBytes] = [30, 300, 32_768];

/**
 * Runs the action of a watch that was triggered, once: what is intended is durable before it begins, its process before
 * it does anything, and it leaves its exit code for whoever comes after this process. Where nobody can tell how it
 * ended (the power went), it is run again only if that is safe. The state is `over` when this returns.
 */
export async function runAction(
  context: OperationContext,
  settings: WatchSettings,
  keeper: Keeper,
  report: Report,
): Promise<void> {
  const journaled = keeper.state.action?.words;
  // Masked words are no command any more; what they were stands in the step.
  const words = journaled?.some((each) => each.includes(mask))
    ? settings.onFail
    : (journaled ?? settings.onFail);
  if (words === undefined) return keeper.journal({ phase: "over" });
  const action = new Action(context, settings, keeper, report, words);
  for (;;) {
    const next = await action.step();
    if (next === "over") return keeper.journal({ phase: "over" });
  }
}

type Outcome = { readonly ended: number } | "never-began" | "unknown";

class Action {
  private readonly context: OperationContext;
  private readonly settings: WatchSettings;
  private readonly keeper: Keeper;
  private readonly report: Report;
  private readonly words: readonly string[];
  private timedOut = false;

  constructor(
    context: OperationContext,
    settings: WatchSettings,
    keeper: Keeper,
    report: Report,
    words: readonly string[],
  ) {
    this.context = context;
    this.settings = settings;
    this.keeper = keeper;
    this.report = report;
    this.words = words;
  }

  /** From where it stands to the next durable place. */
  async step(): Promise<"on" | "over"> {
    const state = this.keeper.state.action;
    switch (state?.state) {
      case undefined:
        await this.intend(1, null, false);
        return "on";
      case "intended":
        await this.start(state);
        return "on";
      case "retrying":
        await this.waitForLock(state);
        return "on";
      case "started":
        await this.settle(state, await this.outcome(state));
        return "on";
      case "done":
      case "failed":
      case "unknown":
        return "over";
    }
  }

  private async intend(attempt: number, lockedSince: string | null, repeated: boolean): Promise<void> {
    await this.save({
      words: [...this.words],
      state: "intended",
      attempt,
      intendedAt: this.context.clock.now().toISOString(),
      lockedSince,
      endedAt: null,
      process: null,
      exitCode: null,
      repeated,
      problem: null,
      output: [],
    });
  }

  private async start(state: ActionState): Promise<void> {
    const { environment } = this.context;
    const { end, log } = this.keeper.files.action(this.keeper.state.id, state.attempt);
    await rm(end, { force: true });
    this.report.log(`runs ${showCommand(this.words)}`);
    await startGated({
      words: isOps(this.words) ? [...launcher(), ...this.words.slice(1)] : this.words,
      cwd: environment.directory,
      env: this.variables(),
      log,
      end,
      onStart: (identity) => this.save({ ...state, state: "started", process: { ...identity } }),
    });
  }

  /** `ops` gets what this process has, so that it finds the same secrets; another program what it is given by name. */
  private variables(): Record<string, string | undefined> {
    const { environment, stateDirectory, runId } = this.context;
    const { gate, trigger } = this.keeper.state;
    const own = {
      OPS_WATCH_RUN: runId ?? "",
      OPS_WATCH_GATE: gate,
      OPS_WATCH_REASONS: trigger?.reasons.join("\n") ?? "",
    };
    if (!isOps(this.words)) return { ...childEnvironment(namedEnvironment(this.settings.variables)), ...own };
    return {
      ...process.env,
      ...own,
      ...(environment.file === undefined ? {} : { OPS_CONFIG: environment.file }),
      OPS_ENV: environment.name,
      OPS_STATE_DIR: stateDirectory,
    };
  }

  /** Waits for its end. A first Ctrl-C does not cut that short; a second one leaves it to whoever resumes the run. */
  private async outcome({ attempt, process: identity }: ActionState): Promise<Outcome> {
    const { clock, signal } = this.context;
    const { end } = this.keeper.files.action(this.keeper.state.id, attempt);
    const limit = clock.elapsed() + this.settings.onFailTimeout;
    for (;;) {
      // Asked first: what ends between the two questions has left its note.
      const lives = identity !== null && liveness(identity) !== "gone";
      const note = existsSync(end) ? (await readFile(end, "utf8")).trim() : undefined;
      if (note === "none") return "never-began";
      if (note !== undefined) return { ended: Number(note) };
      if (!lives) return "unknown";
      if (clock.elapsed() > limit) this.end(identity);
      this.report.progress({ message: `${showCommand(this.words)} goes on`, live: true });
      await clock.sleep(lookEvery, signal);
    }
  }

  private end({ pid }: ProcessIdentity): void {
    if (this.timedOut) return;
    this.timedOut = true;
    killGroup(pid, "SIGTERM");
    setTimeout(() => killGroup(pid, "SIGKILL"), insistAfter).unref();
  }

  private async settle(state: ActionState, outcome: Outcome): Promise<void> {
    const { clock } = this.context;
    const { log, end } = this.keeper.files.action(this.keeper.state.id, state.attempt);
    const shown = showCommand(this.words);
    if (outcome === "never-began") return this.intend(state.attempt, state.lockedSince, state.repeated);
    const output = await lastLines(log);
    const ended = { ...state, endedAt: clock.now().toISOString(), output };
    if (outcome === "unknown") {
      const isSafe = isRepeatable(this.words) || this.settings.onFailRepeat;
      if (isSafe && !this.timedOut) {
        this.report.log(`${shown} was cut off and nobody knows how far it came; it is safe to run it again`);
        return this.intend(state.attempt + 1, state.lockedSince, true);
      }
      const problem = this.timedOut
        ? `it did not end within ${formatDuration(this.settings.onFailTimeout)} and was killed`
        : "it was cut off, and nobody knows how far it came";
      return this.save({ ...ended, state: "unknown", problem });
    }
    for (const line of output) this.report.log(`  ${line}`);
    const exitCode = outcome.ended;
    if (exitCode === ExitCode.lockHeld && isOps(this.words)) {
      const lockedSince = state.lockedSince ?? clock.now().toISOString();
      if (clock.now().getTime() - Date.parse(lockedSince) < lockPatience) {
        this.report.log(`${shown} found a lock held by somebody else; it is tried again`);
        await this.save({ ...ended, state: "retrying", exitCode, lockedSince });
        return this.forget(log, end);
      }
    }
    const problem = this.timedOut
      ? `it did not end within ${formatDuration(this.settings.onFailTimeout)} and was stopped`
      : exitCode === 0
        ? null
        : `it ended with exit code ${exitCode}`;
    this.report.log(`${shown} ended with exit code ${exitCode}`);
    await this.save({ ...ended, state: problem === null ? "done" : "failed", exitCode, problem });
    // What it said is in the journal now, without secrets.
    await this.forget(log, end);
  }

  private async waitForLock(state: ActionState): Promise<void> {
    const ms = Math.min(longestPause, shortestPause * 2 ** Math.min(state.attempt - 1, 10));
    await this.context.clock.sleep(ms, this.context.signal);
    await this.intend(state.attempt + 1, state.lockedSince, state.repeated);
  }

  private async forget(...files: readonly string[]): Promise<void> {
    for (const file of files) await rm(file, { force: true });
  }

  private async save(action: ActionState): Promise<void> {
    await this.keeper.journal({ phase: "acting", action });
  }
}

/** Of a log, redacted; empty where there is none. */
async function lastLines(log: string): Promise<string[]> {
  if (!existsSync(log)) return [];
  const text = (await readFile(log)).subarray(-tailBytes).toString("utf8");
  return text
    .split(/\r?\n/)
    .filter((line) => line.trim() !== "")
    .slice(-linesKept)
    .map((line) => redact(line).slice(0, longestLine));
}
