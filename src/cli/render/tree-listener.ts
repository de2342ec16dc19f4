import { Listr, ListrLogger, type ListrTask, ProcessOutput } from "listr2";
import { formatDuration } from "../../core/duration.ts";
import type { ErrorRecord } from "../../core/errors.ts";
import { redact } from "../../core/redaction.ts";
import type { JournalEntry } from "../../run/events.ts";
import type { Progress } from "../../run/operation.ts";
import type { RunListener } from "../../run/run-listener.ts";
import type { RunState } from "../../run/run-state.ts";
import { renderProgress } from "./progress.ts";

export interface TreeStep {
  readonly id: string;
  readonly title: string;
}

/** A live tree on standard error: one line for each step, and a second tree for a roll-back. */
export class TreeListener implements RunListener {
  private readonly stages: readonly (readonly TreeStep[])[];
  private readonly titles: ReadonlyMap<string, string>;
  /** Steps whose effect may have begun, in order. */
  private readonly applied: string[];
  private forwards: Map<string, Row> | undefined;
  private backwards: Map<string, Row> | undefined;
  private readonly drawn: Promise<unknown>[] = [];

  /**
   * @param stages the steps still to run, in order; those in one stage run at the same time
   * @param state the run so far, where it is resumed
   */
  constructor(stages: readonly (readonly TreeStep[])[], state?: RunState) {
    this.stages = stages;
    this.titles = new Map(stages.flat().map((step) => [step.id, step.title]));
    this.applied = [...(state?.steps.values() ?? [])]
      .filter((step) => step.applied && step.undo?.status !== "ended")
      .map((step) => step.id);
  }

  entry(entry: JournalEntry): void {
    if (entry.type === "run.rollback-started") this.beginBackwards();
    if (!("step" in entry)) return;
    if (this.forwards === undefined && this.backwards === undefined) this.beginForwards();
    const row = this.row(entry.step);
    switch (entry.type) {
      case "step.applying":
        if (!this.applied.includes(entry.step)) this.applied.push(entry.step);
        break;
      case "step.skipped":
        row?.skip(entry.data.why);
        row?.end();
        break;
      case "step.done":
        row?.end();
        break;
      case "step.failed":
        if (entry.data.retryInMs === undefined) row?.fail(entry.data.error);
        else row?.say(`${entry.data.error.message}; again in ${formatDuration(entry.data.retryInMs)}`);
        break;
      case "step.undone":
        if (entry.data.note !== undefined) row?.say(entry.data.note);
        row?.end();
        break;
      case "step.undo-failed":
        row?.fail(entry.data.error);
        break;
    }
  }

  progress(step: string, progress: Progress): void {
    const row = this.row(step);
    row?.say(renderProgress(progress, row.startedAt, Date.now()));
  }

  log(step: string, line: string): void {
    this.row(step)?.say(line);
  }

  /** Waits until the tree is drawn for the last time; what did not begin stays as it is. */
  async close(): Promise<void> {
    for (const row of [...(this.forwards?.values() ?? []), ...(this.backwards?.values() ?? [])]) row.end();
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
      .map((id) => ({ id, title: `Take back: ${this.titles.get(id) ?? id}` }))
      .reverse();
    this.draw(steps.map((step) => this.task(rows, step)));
  }

  private draw(tasks: ListrTask[]): void {
    const list = new Listr(tasks, {
      exitOnError: true,
      registerSignalListeners: false,
      rendererOptions: {
        collapseErrors: false,
        collapseSkips: false,
        suffixSkips: true,
        logger: new ListrLogger({ processOutput: new ProcessOutput(process.stderr, process.stderr) }),
      },
    });
    const previous = this.drawn.at(-1) ?? Promise.resolve();
    // The engine reports a failure; the tree only shows it.
    this.drawn.push(previous.then(() => list.run()).catch(() => undefined));
  }

  private task(rows: Map<string, Row>, step: TreeStep): ListrTask {
    const row = new Row();
    rows.set(step.id, row);
    return {
      title: step.title,
      rendererOptions: { persistentOutput: true, outputBar: 1 },
      task: (_, wrapper) => row.show(wrapper),
    };
  }
}

/** A line of the tree. May hear of its end before it is drawn, and be ended twice. */
class Row {
  startedAt = Date.now();
  private readonly ended = Promise.withResolvers<void>();
  private wrapper: { output: string | undefined; skip(why: string): void } | undefined;
  private early: string | undefined;

  constructor() {
    this.ended.promise.catch(() => undefined);
  }

  show(wrapper: { output: string | undefined; skip(why: string): void }): Promise<void> {
    this.startedAt = Date.now();
    this.wrapper = wrapper;
    if (this.early !== undefined) wrapper.output = this.early;
    return this.ended.promise;
  }

  say(text: string): void {
    const redacted = redact(text);
    if (this.wrapper === undefined) this.early = redacted;
    else this.wrapper.output = redacted;
  }

  skip(why: string): void {
    if (this.wrapper === undefined) this.early = `skipped: ${why}`;
    else this.wrapper.skip(why);
  }

  end(): void {
    this.ended.resolve();
  }

  fail(error: ErrorRecord): void {
    this.ended.reject(
      new Error(redact(`${error.message}${error.hint === undefined ? "" : `\n→ ${error.hint}`}`)),
    );
  }
}
