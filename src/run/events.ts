import type { ErrorRecord, Json } from "../core/errors.ts";
import type { Change, UndoResult } from "./operation.ts";
import type { MadeRestorePoint } from "./restore-point.ts";

/** What a run was asked to do; enough to go on with it on another day. */
export interface RunRequest {
  readonly name: string;
  /** `runbook`, or `operation` for a single one given as a command. */
  readonly kind: "runbook" | "operation";
  /** The runbook's whole text as it was when the run began: a resume uses this, not today's file. */
  readonly text: string;
  /** The file it came from; undefined for a single operation. */
  readonly file?: string;
  readonly environment: string;
  readonly inputs: { readonly [name: string]: Json };
  /** Values of the environment variables that the runbook's expressions use. */
  readonly variables: { readonly [name: string]: string };
  /** Steps left out by --from, --only or --skip. */
  readonly unselected: readonly string[];
  /** Present where no restore points are to be made. */
  readonly withoutRestorePoints?: true;
  readonly planDigest: string;
  readonly plannedChanges: { readonly [step: string]: readonly Change[] };
  readonly targets: readonly string[];
  /** Where each configured target is, without secrets; a resume must find the same places. */
  readonly places: { readonly [target: string]: string };
  readonly actor: string;
  readonly version: string;
}

export interface Process {
  readonly pid: number;
  readonly host: string;
}

/** Everything that can happen in a run. Durable before the effect that it announces begins. */
export type RunEvent =
  | { readonly type: "run.created"; readonly data: RunRequest & { readonly process: Process } }
  | {
      readonly type: "run.resumed";
      readonly data: {
        readonly process: Process;
        readonly actor: string;
        /** From here on. */
        readonly withoutRestorePoints?: true;
      };
    }
  | { readonly type: "run.done" }
  | { readonly type: "run.failed"; readonly data: { readonly error: ErrorRecord } }
  | { readonly type: "run.interrupted" }
  | {
      readonly type: "run.rollback-started";
      readonly data: { readonly reason: string; readonly error?: ErrorRecord };
    }
  | { readonly type: "run.rolled-back" }
  | { readonly type: "run.needs-person"; readonly data: { readonly reason: string } }
  | { readonly type: "step.skipped"; readonly step: string; readonly data: { readonly why: string } }
  | {
      readonly type: "step.started";
      readonly step: string;
      readonly data: {
        readonly attempt: number;
        readonly input: Json;
        /** Locked from here on, beside the targets of the run. */
        readonly targets: readonly string[];
      };
    }
  | {
      readonly type: "step.observed";
      readonly step: string;
      readonly data: { readonly before: Json; readonly changes: readonly Change[] };
    }
  /** Written once it is made; its name follows from the run and the step, so it is not made twice. */
  | { readonly type: "step.restore-point"; readonly step: string; readonly data: MadeRestorePoint }
  | { readonly type: "step.applying"; readonly step: string }
  | { readonly type: "step.checkpoint"; readonly step: string; readonly data: Json }
  | { readonly type: "step.done"; readonly step: string; readonly data: { readonly output: Json } }
  | {
      readonly type: "step.failed";
      readonly step: string;
      readonly data: { readonly error: ErrorRecord; readonly retryInMs?: number };
    }
  | { readonly type: "step.undoing"; readonly step: string }
  | { readonly type: "step.undone"; readonly step: string; readonly data: UndoResult }
  | {
      readonly type: "step.undo-failed";
      readonly step: string;
      readonly data: { readonly error: ErrorRecord };
    };

/** An event as the journal keeps it. */
export type JournalEntry = RunEvent & {
  readonly run: string;
  /** From 1, without gaps, within a run. */
  readonly sequence: number;
  /** Grows over the whole journal, whatever the clock does. */
  readonly position: number;
  /** UTC, ISO 8601 with milliseconds. */
  readonly at: string;
};
