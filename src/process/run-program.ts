import { existsSync } from "node:fs";
import { execa } from "execa";
import { OpsError } from "../core/errors.ts";
import { redact } from "../core/redaction.ts";
import { OutputTail } from "./output-tail.ts";

export interface ProgramOptions {
  /** Added to a small base (PATH, HOME, LANG, TZ, TMPDIR); nothing else of our environment reaches the child. */
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  /** Aborting it sends SIGTERM to the program and its children, then SIGKILL after five seconds. */
  readonly signal?: AbortSignal | undefined;
  readonly input?: string | Uint8Array;
  /** Called with the program's pid before it can have done much; the program waits for nothing. */
  readonly onStart?: (pid: number) => Promise<void>;
  /** Called with all that comes on standard output, byte by byte as it comes. */
  readonly onOutput?: (chunk: Buffer) => void;
  /** Called with every line of standard error and output, redacted. */
  readonly onLine?: (line: string) => void;
}

export interface ProgramResult {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

const keptOutput = 10_000_000;
const inherited = ["PATH", "HOME", "USER", "LANG", "LC_ALL", "TZ", "TMPDIR", "SYSTEMROOT"];

/** The environment a child gets: a small base and what the caller names. */
export function childEnvironment(extra: Readonly<Record<string, string>> = {}): Record<string, string> {
  const base = inherited.flatMap((name) => {
    const value = process.env[name];
    return value === undefined ? [] : [[name, value] as const];
  });
  return { ...Object.fromEntries(base), ...extra };
}

/**
 * Runs a program to its end and returns whatever exit code it had. Arguments are a list: no shell sees them.
 * Throws `E_PROGRAM_MISSING` where the program does not exist, `E_FOLDER_MISSING` where its folder does not, `E_PROGRAM_KILLED` where a signal ended it, and the
 * signal's reason on abort. Of each stream the last 10 MB are kept.
 */
export async function runProgram(
  file: string,
  args: readonly string[],
  options: ProgramOptions = {},
): Promise<ProgramResult> {
  options.signal?.throwIfAborted();
  const child = execa(file, args, {
    env: childEnvironment(options.env),
    extendEnv: false,
    reject: false,
    buffer: false,
    // A process group of its own: the terminal's Ctrl-C is for ops, which ends its work at a safe point.
    detached: true,
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    ...(options.input === undefined ? { stdin: "ignore" as const } : { input: options.input }),
  });
  const { onLine } = options;
  const pass = onLine === undefined ? undefined : (line: string) => onLine(redact(line));
  const stdout = new OutputTail(keptOutput, pass);
  const stderr = new OutputTail(keptOutput, pass);
  child.stdout?.on("data", (chunk: Buffer) => {
    options.onOutput?.(chunk);
    stdout.write(chunk);
  });
  child.stderr?.on("data", (chunk: Buffer) => stderr.write(chunk));
  const release = endGroupWith(child.pid, options.signal);
  try {
    if (child.pid !== undefined) await options.onStart?.(child.pid);
  } catch (error) {
    if (child.pid !== undefined) killGroup(child.pid, "SIGKILL");
    release();
    throw error;
  }
  const result = await child.finally(release);
  options.signal?.throwIfAborted();
  const code = result.cause instanceof Error && "code" in result.cause ? result.cause.code : undefined;
  if (code === "ENOENT" && options.cwd !== undefined && !existsSync(options.cwd)) {
    throw new OpsError(
      "E_FOLDER_MISSING",
      `The folder ${options.cwd} that ${file} should run in does not exist`,
      {
        retryable: false,
      },
    );
  }
  if (code === "ENOENT") {
    throw new OpsError("E_PROGRAM_MISSING", `The program ${file} is not installed or not on PATH`, {
      hint: "see what is missing with: ops doctor",
      retryable: false,
    });
  }
  if (result.exitCode === undefined) {
    throw new OpsError("E_PROGRAM_KILLED", `${file} was ended by ${result.signal ?? "an error"}`, {
      cause: result.cause,
    });
  }
  return { exitCode: result.exitCode, stdout: stdout.finish(), stderr: stderr.finish() };
}

/** Milliseconds between SIGTERM and SIGKILL. */
const killDelay = 5000;

/** Ends the whole process group when the signal aborts or this process exits; returns what takes that back. */
function endGroupWith(pid: number | undefined, signal: AbortSignal | undefined): () => void {
  if (pid === undefined) return () => undefined;
  let insist: NodeJS.Timeout | undefined;
  const end = () => {
    killGroup(pid, "SIGTERM");
    insist = setTimeout(() => killGroup(pid, "SIGKILL"), killDelay);
  };
  const endAtExit = () => killGroup(pid, "SIGKILL");
  signal?.addEventListener("abort", end, { once: true });
  process.once("exit", endAtExit);
  return () => {
    clearTimeout(insist);
    signal?.removeEventListener("abort", end);
    process.off("exit", endAtExit);
  };
}

/** Signals a program started by `runProgram` and its children; nothing where they are gone. */
export function killGroup(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(-pid, signal);
  } catch (error) {
    // Gone already.
    if (!(error instanceof Error && "code" in error && error.code === "ESRCH")) throw error;
  }
}
