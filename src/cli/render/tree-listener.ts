import { Listr, ListrLogger, type ListrTask, ProcessOutput } from "listr2";
import { formatDuration } from "../../core/duration.ts";
import { redact } from "../../core/redaction.ts";
import type { JournalEntry } from "../../run/events.ts";
import type { Progress } from "../../run/operation.ts";
import { shownRestorePoint } from "../../run/restore-point.ts";
import type { RunListener } from "../../run/run-listener.ts";
import type { RunState } from "../../run/run-state.ts";
import type { Sample } from "../../run/sample.ts";
import type { Screen } from "../../run/screen.ts";
import { Pace, renderProgress } from "./progress.ts";
import { renderSamples, samplesShown } from "./samples.ts";
import { renderStandings } from "./standings.ts";

export interface TreeStep {
  readonly id: string;
  readonly title: string;
  /** Whether it is one of the rows of a roll-back. */
  readonly inRollback: boolean;
}

/** A live tree on standard error: one line for each step, and a second tree for a roll-back. */
export class TreeListener implements RunListener {
  private readonly stages: readonly (readonly TreeStep[])[];
  private readonly all: readonly TreeStep[];
  private readonly screen: Screen;
  /** Steps whose effect may have begun, in order. */
  private readonly applied: string[];
  private forwards: Map<string, Row> | undefined;
  private backwards: Map<string, Row> | undefined;
  private readonly drawn: Promise<unknown>[] = [];

  /**
   * @param stages all steps, in order; those in one stage run at the same time
   * @param screen standard error
   * @param state the run so far, where it is resumed or taken back
   */
  constructor(stages: readonly (readonly TreeStep[])[], screen: Screen, state?: RunState) {
    const open = (step: TreeStep) => state?.steps.get(step.id)?.status !== "done";
    this.screen = screen;
    this.stages = stages.map((stage) => stage.filter(open)).filter((stage) => stage.length > 0);
    this.all = stages.flat();
    this.applied = [...(state?.steps.values() ?? [])]
      .filter((step) => step.applied && step.undo?.status !== "ended")
      .map((step) => step.id);
  }

  entry(entry: JournalEntry): void {
    if (entry.type === "run.rollback-started") {
      for (const row of this.forwards?.values() ?? []) row.leave();
      this.beginBackwards();
    }
    if (!("step" in entry)) return;
    if (this.forwards === undefined && this.backwards === undefined) this.beginForwards();
    const row = this.row(entry.step);
    switch (entry.type) {
      case "step.started":
      case "step.undoing":
        row?.begin();
        break;
      case "step.applying":
        if (!this.applied.includes(entry.step)) this.applied.push(entry.step);
        break;
      case "step.restore-point":
        row?.say(shownRestorePoint(entry.data));
        break;
      case "step.skipped":
        row?.skip(entry.data.why);
        break;
      case "step.done":
        row?.end();
        break;
      case "step.failed":
        if (entry.data.retryInMs === undefined) row?.fail(entry.data.error);
        else row?.say(`${entry.data.error.message}; again in ${formatDuration(entry.data.retryInMs)}`);
        break;
      case "step.undone":
        if (entry.data.undone === false) row?.fail({ message: entry.data.note });
        else if (entry.data.note !== undefined) row?.say(entry.data.note);
        row?.end();
        break;
      case "step.undo-failed":
        row?.fail(entry.data.error);
        break;
    }
  }

  progress(step: string, progress: Progress): void {
    const row = this.row(step);
    row?.progress(progress);
  }

  log(step: string, line: string): void {
    this.row(step)?.say(line);
  }

  note(text: string): void {
    const rows = [...(this.backwards ?? this.forwards ?? new Map<string, Row>()).values()];
    rows.find((row) => row.isUnderWay)?.say(text);
  }

  /** Waits until the tree is drawn for the last time. What did not come to its end does not look as if it had. */
  async close(): Promise<void> {
    for (const row of [...(this.forwards?.values() ?? []), ...(this.backwards?.values() ?? [])]) row.leave();
    await Promise.all(this.drawn);
  }

  private row(step: string): Row | undefined {
    return this.backwards?.get(step) ?? this.forwards?.get(step);
  }

  private beginForwards(): void {
    const rows = new Map<string, Row>();
    this.forwards = rows;
    this.draw(
      this.stages.map((stage) => {
        const tasks = stage.map((step) => this.task(rows, step));
        const [only] = tasks;
        if (tasks.length === 1 && only !== undefined) return only;
        return {
          title: `${tasks.length} steps at the same time`,
          task: (_, wrapper) => wrapper.newListr(tasks, { concurrent: true, exitOnError: false }),
        };
      }),
    );
  }

  private beginBackwards(): void {
    const rows = new Map<string, Row>();
    this.backwards = rows;
    const steps = this.applied
      .flatMap((id) => this.all.filter((step) => step.id === id && step.inRollback))
      .map((step) => ({ ...step, title: `Take back: ${step.title}` }))
      .reverse();
    this.draw(steps.map((step) => this.task(rows, step)));
  }

  private draw(tasks: ListrTask[]): void {
    const previous = this.drawn.at(-1) ?? Promise.resolve();
    // Made only when the tree before it has ended: while that one is drawn, standard error is in its hands, and a
    // tree made meanwhile would write into nothing.
    const show = () =>
      new Listr(tasks, {
        exitOnError: false,
        registerSignalListeners: false,
        rendererOptions: {
          collapseErrors: false,
          logger: new ListrLogger({ processOutput: new ProcessOutput(process.stderr, process.stderr) }),
        },
      }).run();
    // The engine reports a failure; the tree only shows it.
    this.drawn.push(previous.then(show).catch(() => undefined));
  }

  private task(rows: Map<string, Row>, step: TreeStep): ListrTask {
    const row = new Row(this.screen);
    rows.set(step.id, row);
    return {
      title: step.title,
      // Of what was set as output only the newest stands: `draw` sets all that is to be seen.
      rendererOptions: { persistentOutput: true, outputBar: 1 },
      task: (_, wrapper) => row.show(wrapper),
    };
  }
}

/** How many lines of a step stay on the screen. */
const linesKept = 4;

/** What the tree puts before a line of a step. */
const margin = 6;

type Wrapper = { title: string | undefined; output: string | undefined; skip(why: string): void };

/** A step in the tree. May hear of its end before it is drawn, and be ended twice: the first end counts. */
class Row {
  startedAt = Date.now();
  private readonly ended = Promise.withResolvers<void>();
  private wrapper: Wrapper | undefined;
  private lines: string[] = [];
  private now: string | undefined;
  private samples: Sample[] = [];
  private readonly pace = new Pace();
  private skipped: string | undefined;
  private begun = false;
  private settled = false;

  private readonly screen: Screen;

  constructor(screen: Screen) {
    this.screen = screen;
    this.ended.promise.catch(() => undefined);
  }

  show(wrapper: Wrapper): Promise<void> {
    this.startedAt = Date.now();
    this.wrapper = wrapper;
    this.draw();
    return this.ended.promise;
  }

  /** The step itself has begun; its line may be drawn before that. */
  begin(): void {
    this.begun = true;
  }

  get isUnderWay(): boolean {
    return this.begun && !this.settled;
  }

  /** A line that stays. */
  say(text: string): void {
    this.lines = [...this.lines, redact(text)].slice(-linesKept);
    this.draw();
  }

  /** What goes on at this moment; gone when the step has ended. */
  progress(progress: Progress): void {
    const { color, columns } = this.screen;
    if (progress.sample !== undefined) this.samples = [...this.samples, progress.sample].slice(-samplesShown);
    const rows = renderSamples(this.samples, columns - margin, color);
    const standings = renderStandings(progress.standings ?? [], columns - margin, color);
    const now = renderProgress(progress, this.pace, Date.now());
    this.now = redact([now, ...standings, ...rows].join("\n"));
    this.draw();
  }

  skip(why: string): void {
    this.skipped = why;
    this.settle(() => this.ended.resolve());
  }

  end(): void {
    const took = Date.now() - this.startedAt;
    if (!this.settled && this.wrapper !== undefined && took > 1000)
      this.wrapper.title += ` ${formatDuration(took)}`;
    this.settle(() => this.ended.resolve());
  }

  fail(error: { readonly message: string; readonly hint?: string | undefined }): void {
    const text = `${error.message}${error.hint === undefined ? "" : `\n→ ${error.hint}`}`;
    this.settle(() => this.ended.reject(new Error(redact(text))));
  }

  /** The run goes on without it: it was cut off in the middle, or never begun. */
  leave(): void {
    if (this.begun) this.fail({ message: "interrupted: not finished" });
    else this.skip("not begun");
  }

  private settle(end: () => void): void {
    if (this.settled) return;
    this.settled = true;
    this.now = undefined;
    this.draw();
    end();
  }

  private draw(): void {
    if (this.wrapper === undefined) return;
    if (this.skipped !== undefined) this.wrapper.skip(`${this.wrapper.title ?? ""}: ${this.skipped}`);
    else this.wrapper.output = [...this.lines, ...(this.now === undefined ? [] : [this.now])].join("\n");
  }
}
