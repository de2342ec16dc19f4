import type { Environment } from "../config/environment.ts";
import type { Clock } from "../core/clock.ts";
import type { Check } from "./check.ts";
import type { RestorePointMaker } from "./restore-point.ts";

/** Everything that an operation may touch of the world outside, handed in so that a test can replace it. */
export interface OperationContext {
  readonly environment: Environment;
  /** Absolute path of the folder for what ops keeps beside the journal: reports, progress. May not exist. */
  readonly stateDirectory: string;
  readonly clock: Clock;
  /** Aborts when the work must end now: a timeout, a second Ctrl-C, a lost lock. Pass it to everything that waits. */
  readonly signal: AbortSignal;
  /**
   * Aborts when the run should end at the next safe point (the first Ctrl-C). Waits that may be cut short at any
   * moment listen to it; everything else calls `safePoint()` where stopping leaves a state to resume from.
   */
  readonly stop: AbortSignal;
  /** Throws InterruptedError once `stop` has aborted. */
  safePoint(): void;
  /** Who: `user@host`, or what CI says. */
  readonly actor: string;
  /** Undefined outside a journaled run. */
  readonly runId: string | undefined;
  /** The kinds of check that capabilities contribute. */
  checks(): Promise<ReadonlyMap<string, Check>>;
  /** What names moments of archived clusters. */
  restorePoints(): Promise<RestorePointMaker>;
  /**
   * Throws the usage error that `ops` with these words would end with, when nobody is there to ask. It begins nothing.
   */
  requireCommand(words: readonly string[]): Promise<void>;
}
