import type { z } from "zod";
import type { Environment } from "../config/environment.ts";
import type { Json, OpsError } from "../core/errors.ts";
import type { CheckStatus } from "./check.ts";
import type { OperationContext } from "./context.ts";
import type { Sample } from "./sample.ts";
import type { Screen } from "./screen.ts";

/** What an operation does to the world: nothing, something that can be taken back, something that loses data. */
export type Effect = "read" | "change" | "destroy";

/** One thing that a run would change; a line of the plan. Holds nothing volatile: the plan's digest covers it. */
export interface Change {
  /** `database:main`, `route:web`, `flag:session-pooling`. */
  readonly target: string;
  readonly action: "create" | "update" | "delete" | "run";
  /** For a person: `apply 0002_add_orders`. */
  readonly summary: string;
  readonly from?: Json;
  readonly to?: Json;
}

/** How long work tells what it is doing, and where it keeps its place. */
export interface Report {
  /** For the person watching: what is going on and how far; never journaled. */
  progress(progress: Progress): void;
  /** One line that stays on the screen; never journaled. */
  log(line: string): void;
  /** Durable when the promise resolves. The newest one is `last` after a crash. */
  checkpoint(data: Json): Promise<void>;
  /** The newest checkpoint of an earlier, unfinished attempt at this step in this run. */
  readonly last: Json | undefined;
}

/** How one thing stands that is looked at again and again. */
export interface Standing {
  readonly name: string;
  readonly status: CheckStatus;
  /** One clause. */
  readonly text: string;
  /** The newest values, oldest first; null where there was none. Empty where it has no numbers. */
  readonly values: readonly (number | null)[];
}

export interface Progress {
  readonly message: string;
  readonly done?: number;
  readonly total?: number;
  readonly unit?: "bytes" | "blocks" | "rows" | "requests" | "sessions" | "ms";
  /** What was measured just now; the newest ones are drawn side by side. */
  readonly sample?: Sample;
  /** How each of several things stands, a line for each under the message. */
  readonly standings?: readonly Standing[];
  /** Only for who looks on: what a log needs of it is said by `log`. */
  readonly live?: true;
  /** Milliseconds to go, where the work knows better than the time passed and the share tell: after a resume. */
  readonly leftMs?: number;
}

export type UndoResult =
  /** Back to what `observe` saw. */
  | { readonly undone: true; readonly note?: string }
  /** Nothing of it needs taking back: a backup may stay. */
  | { readonly undone: "kept"; readonly note: string }
  /** There is no way back; a person must look. */
  | { readonly undone: false; readonly note: string };

/** The answer of an operation that found nothing to do. */
export interface Unchanged<O> {
  readonly output: O;
  /** What is worth a line although nothing is done. */
  readonly warnings: readonly string[];
}

export interface OperationDefinition<I extends z.ZodObject, B extends Json, O extends z.ZodType> {
  /** `flag.set`: the command `ops flag set`, and `uses: flag.set` in a runbook. `backup.keys.new`: `ops backup keys new`. */
  readonly name: `${string}.${string}`;
  /** One line for --help and the reference; no full stop. */
  readonly summary: string;
  /** Shown under --help: a whole command line, without the leading `ops`. */
  readonly example: string;
  readonly effect: Effect;
  /**
   * False for what touches nothing but a folder of its own (the sandbox): it runs without locks and journal. True for a
   * read whose answer is evidence: as a command it is a run too, and prints its answer as any read does.
   */
  readonly journaled?: boolean;
  /** It runs until it is told to stop: the first Ctrl-C or SIGTERM is its regular end, and `stop` alone aborts. */
  readonly runsUntilStopped?: true;
  /** Keys in kebab-case: they are the flags of the command and the keys of `with:`. Each field has a `describe`. */
  readonly input: I;
  /**
   * Inputs with which a change must be agreed to as a destroying one is (a person's yes, or --yes), although it can be
   * taken back: `swap`.
   */
  readonly confirmed?: readonly (keyof z.input<I> & string)[];
  /** Input keys that the command takes as arguments, in order: `ops flag set NAME`. */
  readonly positional?: readonly (keyof z.input<I> & string)[];
  /**
   * True for a change that undo cannot always take back: where the WAL of a database among its targets is archived, a
   * restore point is made before it, as before every operation that destroys.
   */
  readonly restorePoint?: true;
  readonly output: O;
  /** What the run locks: `database:main`. Default: nothing. */
  targets?(input: z.output<I>, environment: Environment): readonly string[];
  /** Reads reality; changes nothing. What it returns is persisted before `apply` runs. */
  observe(context: OperationContext, input: z.output<I>): Promise<B>;
  /** Pure: what would change. Empty where nothing would. */
  plan(before: B, input: z.output<I>): readonly Change[];
  /** Pure: what a person should know beside the changes: what stays, and why. Lines under the plan's changes. */
  notes?(before: B, input: z.output<I>): readonly string[];
  /** Makes it so. Safe to call again after a crash at any point: it looks at what is done and finishes the rest. */
  apply(context: OperationContext, input: z.output<I>, before: B, report: Report): Promise<z.output<O>>;
  /**
   * What `apply` would answer where `plan` is empty. A command then ends with it: without a run, and so without
   * journal, locks and questions. Only where `apply` would change nothing then.
   */
  unchanged?(before: B, input: z.output<I>): Unchanged<z.output<O>>;
  /**
   * Back to what `observe` saw, from any point that `apply` may have reached; safe to call again. Absent where
   * there is no way back (a read needs none).
   */
  undo?(context: OperationContext, input: z.output<I>, before: B, report: Report): Promise<UndoResult>;
  /**
   * An answer that is bad news (drift, a finding of lint): it is printed as any other, then this error ends the
   * command or fails the step. Undefined where all is well.
   */
  failure?(output: z.output<O>): OpsError | undefined;
  /**
   * The result for a person, on a terminal or in a pipe; without it the output is printed as `key: value` lines. The
   * input is there where it was typed just now.
   */
  render?(output: z.output<O>, screen?: Screen, input?: z.output<I>): string;
}

/** An operation as the engine sees it: data in, data out. */
export type Operation = OperationDefinition<z.ZodObject, Json, z.ZodType>;

/** Checks the definition's types against each other and forgets them. */
export function defineOperation<I extends z.ZodObject, B extends Json, O extends z.ZodType>(
  definition: OperationDefinition<I, B, O>,
): Operation {
  return definition as unknown as Operation;
}
