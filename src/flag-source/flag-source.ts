import type { Difference, FlagSet } from "./flag-set.ts";
import type { Finding } from "./lint.ts";

/** Who changes something and why; each entry of the history has it. */
export interface ChangeNote {
  readonly actor: string;
  /** Undefined outside a journaled run. */
  readonly run: string | undefined;
  /** What was done, as the command is called: `flag.kill`. */
  readonly operation: string;
  readonly reason: string | undefined;
}

/** An entry of the history: one flag or shared rule, before and after. */
export interface FlagChange extends Difference {
  /** ISO 8601, UTC. */
  readonly at: string;
  readonly actor: string;
  readonly run: string | null;
  readonly operation: string;
  readonly reason: string | null;
}

/** Where flags live. The tests of the contract run over each. */
export interface FlagSource {
  /** For a person: `database main`, `flags.yaml`. */
  readonly place: string;
  /** All of it at one moment; a source that was never written is empty. Throws where it cannot be understood. */
  read(): Promise<FlagSet>;
  /** What is wrong with how it is written, and does not show in what is read. */
  writtenFindings(): Promise<readonly Finding[]>;
  /**
   * Gives `edit` what is there now and stores what it returns, with an entry of the history for each difference: all of
   * it or, whatever happens, nothing. No other change of `ops` comes between the reading and the writing; one by hand
   * is refused with `E_FLAG_CHANGED`. Nothing is stored that lint calls an error (`E_FLAG_INVALID`), and no protected flag changes
   * without a reason (`E_FLAG_PROTECTED`).
   */
  update(note: ChangeNote, edit: (now: FlagSet) => FlagSet): Promise<FlagSet>;
  /** The history, newest first; of one flag, or of everything. */
  changes(filter: { readonly flag?: string | undefined; readonly limit: number }): Promise<FlagChange[]>;
  /** Calls back after every change, by whomever, until the signal aborts. The first call is when it has begun to watch. */
  watch(changed: () => void, signal: AbortSignal): Promise<void>;
  close(): Promise<void>;
}
