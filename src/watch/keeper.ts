import { randomInt } from "node:crypto";
import { causeText, type Json } from "../core/errors.ts";
import { redactDistinct, redactJson } from "../core/redaction.ts";
import { thisProcess } from "../process/live-process.ts";
import type { OperationContext } from "../run/context.ts";
import type { Report } from "../run/operation.ts";
import type { Sample } from "../run/sample.ts";
import { WatchFiles } from "./files.ts";
import type { WatchSettings } from "./settings.ts";
import { type WatchState, watchState } from "./state.ts";

/** Checkpoints of a watch that goes on, at most, however long it is: those in regular intervals, and those of changes. */
const [regular, changes] = [240, 200];
/** Milliseconds between two regular ones, at least. */
const shortestPause = 10_000;
/** Samples that one checkpoint takes along, at most. */
const samplesKept = 2;

/**
 * Keeps the state of one watch: in the file beside the journal after each look, in the journal at the beginning, where
 * something changes, now and then, and before and after whatever has an effect. So the journal does not grow with the
 * number of looks.
 */
export class Keeper {
  state: WatchState;
  readonly files: WatchFiles;
  private readonly context: OperationContext;
  private readonly report: Report;
  private samples: Sample[] = [];
  private journaledAt: number;
  private changesLeft = changes;
  private readonly pause: number;
  /** How the newest write of the file went; undefined: there was none. */
  private filed: "well" | "badly" | undefined;

  private constructor(context: OperationContext, report: Report, state: WatchState, length: number) {
    this.context = context;
    this.report = report;
    this.state = state;
    this.files = new WatchFiles(context);
    this.pause = Math.max(shortestPause, length / regular);
    this.journaledAt = context.clock.elapsed();
  }

  /** Goes on with what the journal or the newer file has; else begins. */
  static async open(context: OperationContext, report: Report, settings: WatchSettings): Promise<Keeper> {
    const journaled = watchState.safeParse(report.last).data;
    if (journaled === undefined) {
      const keeper = new Keeper(context, report, newState(context, settings), settings.for);
      await keeper.files.prune();
      await keeper.journal();
      return keeper;
    }
    const filed = (await new WatchFiles(context).read(journaled.id))?.state;
    const newest = filed !== undefined && filed.version > journaled.version ? filed : journaled;
    // An action is told by the journal alone: what stands there was durable before its effect.
    const state = journaled.phase === "watching" && newest.phase === "watching" ? newest : journaled;
    return new Keeper(context, report, state, settings.for);
  }

  /** @param kind `change`: something is other than at the look before */
  async look(state: WatchState, kind: "same" | "change", sample: Sample | undefined): Promise<void> {
    this.state = state;
    if (sample !== undefined) this.samples.push(sample);
    await this.file();
    const isDue = this.context.clock.elapsed() - this.journaledAt >= this.pause;
    if (!isDue && (kind === "same" || this.changesLeft === 0)) return;
    if (!isDue) this.changesLeft -= 1;
    await this.journal();
  }

  /** Durable when it returns. */
  async journal(change: Partial<WatchState> = {}): Promise<void> {
    this.state = { ...this.state, ...change, version: this.state.version + 1 };
    const samples = this.samples.slice(-samplesKept);
    this.samples = [];
    this.journaledAt = this.context.clock.elapsed();
    await this.report.checkpoint({ ...kept(this.state), samples: redactJson(samples) } as unknown as Json);
    await this.file();
  }

  /** A disk that is full for a while ends no watch: the file is only what the journal does not have yet. */
  private async file(): Promise<void> {
    try {
      await this.writeFile();
      this.filed = "well";
    } catch (error) {
      const isOfTheDisk = error instanceof Error && "code" in error;
      if (this.filed === undefined || !isOfTheDisk) throw error;
      if (this.filed === "well") this.report.log(`! what was seen cannot be kept: ${causeText(error)}`);
      this.filed = "badly";
    }
  }

  private async writeFile(): Promise<void> {
    const { environment, actor, runId } = this.context;
    const record = {
      run: runId ?? "",
      environment: environment.name,
      actor,
      process: { ...thisProcess() },
      state: kept(this.state),
    };
    await this.files.write(record);
  }
}

/** Without secrets; what is worked with later is left as it is where a secret is an ordinary word in it. */
function kept(state: WatchState): WatchState {
  const { id, title, gate, action } = state;
  const shown = redactJson(state);
  if (action === null) return { ...shown, id, title, gate };
  const words = redactDistinct(action.words);
  return { ...shown, id, title, gate, action: { ...redactJson(action), words } };
}

function newState({ clock, runId }: OperationContext, settings: WatchSettings): WatchState {
  const now = clock.now();
  const token = randomInt(36 ** 4)
    .toString(36)
    .padStart(4, "0");
  return {
    kind: "watch",
    id: `${runId ?? "none"}-${token}`,
    title: settings.title,
    gate: settings.gate,
    startedAt: now.toISOString(),
    until: new Date(now.getTime() + settings.for).toISOString(),
    everyMs: settings.every,
    phase: "watching",
    verdict: null,
    version: 0,
    looks: 0,
    noGoes: 0,
    gaps: { count: 0, missed: 0, newest: [] },
    lastLookAt: null,
    streaks: {},
    checks: [],
    bad: { count: 0, first: [], newest: [] },
    trigger: null,
    action: null,
    stopped: null,
  };
}
