import type { JournalEntry } from "./events.ts";
import type { Progress } from "./operation.ts";

/** Somebody who watches a run: the terminal's tree, plain lines, a stream of JSON. */
export interface RunListener {
  /** An entry, after it became durable. */
  entry(entry: JournalEntry): void;
  /** What a step is doing; not journaled. */
  progress(step: string, progress: Progress): void;
  log(step: string, line: string): void;
  /** About the run as a whole: that it will stop. */
  note(text: string): void;
}
