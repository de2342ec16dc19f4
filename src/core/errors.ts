/**
 * Exit codes of the command, fixed by the design: scripts and CI pipelines branch on them.
 * 130 is the shell's own convention for SIGINT.
 */
export const ExitCode = {
  done: 0,
  failed: 1,
  usage: 2,
  noGo: 3,
  rolledBack: 4,
  needsPerson: 5,
  lockHeld: 6,
  approval: 7,
  interrupted: 130,
} as const;

export type ExitCode = (typeof ExitCode)[keyof typeof ExitCode];

/** Plain data that survives a round trip through JSON. */
export type Json = null | boolean | number | string | Json[] | { [key: string]: Json | undefined };

export interface OpsErrorOptions {
  /** Why it happened, one clause; the underlying error's message where there is one. */
  cause?: unknown;
  /** The next thing to type or change: `run: ops runs resume …`. */
  hint?: string;
  /** Default: 1 (failed). */
  exitCode?: ExitCode;
  /** Numbers and names that belong in the journal beside the sentence. */
  details?: Json;
  /** False where trying again cannot help (bad input, a no-go). Default: true. */
  retryable?: boolean;
}

/** A failure with a name: what happened, why, and what to do next. Thrown once, rendered once. */
export class OpsError extends Error {
  /** Stable, for scripts: `E_LOCK_HELD`. */
  readonly code: string;
  readonly hint: string | undefined;
  readonly exitCode: ExitCode;
  readonly details: Json | undefined;
  readonly retryable: boolean;

  constructor(code: `E_${string}`, message: string, options: OpsErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = "OpsError";
    this.code = code;
    this.hint = options.hint;
    this.exitCode = options.exitCode ?? ExitCode.failed;
    this.details = options.details;
    this.retryable =
      options.retryable ?? (this.exitCode !== ExitCode.usage && this.exitCode !== ExitCode.noGo);
  }
}

/** Wrong input from a person: a flag, a runbook, a configuration. Exit code 2, nothing touched. */
export class UsageError extends OpsError {
  constructor(
    code: `E_${string}`,
    message: string,
    options: Omit<OpsErrorOptions, "exitCode" | "retryable"> = {},
  ) {
    super(code, message, { ...options, exitCode: ExitCode.usage, retryable: false });
    this.name = "UsageError";
  }
}

/** The run was asked to stop (Ctrl-C) and did so at a safe point; it can be resumed. */
export class InterruptedError extends OpsError {
  constructor(message = "Stopped at a safe point because it was interrupted") {
    super("E_INTERRUPTED", message, { exitCode: ExitCode.interrupted, retryable: false });
    this.name = "InterruptedError";
  }
}

/** The process was told to end (SIGTERM), or its terminal is gone (SIGHUP): nobody is there to look after what it has under way. */
export class TerminatedError extends InterruptedError {
  constructor(message = "Stopped at a safe point because it was told to end, or its terminal is gone") {
    super(message);
    this.name = "TerminatedError";
  }
}

/** An error as it is journaled and printed as JSON. Never holds a stack. */
export interface ErrorRecord {
  code: string;
  message: string;
  cause?: string;
  hint?: string;
  details?: Json;
  exitCode: ExitCode;
}

export function errorRecord(error: unknown): ErrorRecord {
  if (error instanceof OpsError) {
    const cause = causeText(error.cause);
    return {
      code: error.code,
      message: error.message,
      ...(cause === undefined ? {} : { cause }),
      ...(error.hint === undefined ? {} : { hint: error.hint }),
      ...(error.details === undefined ? {} : { details: error.details }),
      exitCode: error.exitCode,
    };
  }
  const message = error instanceof Error ? error.message : String(error);
  return { code: "E_UNEXPECTED", message, exitCode: ExitCode.failed };
}

/** `lock_timeout` as it is written in a runbook → `E_LOCK_TIMEOUT`. */
export function fullCode(short: string): string {
  return `E_${short.toUpperCase().replace(/^E_/, "")}`;
}

/** The chain of causes as one line, innermost last. */
export function causeText(cause: unknown): string | undefined {
  if (cause === undefined || cause === null) return undefined;
  if (!(cause instanceof Error)) return String(cause);
  // An AggregateError (a refused connection on two addresses) has an empty message of its own.
  const own =
    cause instanceof AggregateError && cause.message === ""
      ? cause.errors.map((each) => (each instanceof Error ? each.message : String(each))).join("; ")
      : cause.message;
  const inner = causeText(cause.cause);
  return inner === undefined ? own : `${own}: ${inner}`;
}
