import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, mkdirSync, openSync } from "node:fs";
import { open } from "node:fs/promises";
import { dirname } from "node:path";
import { OpsError } from "../core/errors.ts";
import { after } from "../core/timer.ts";
import { launcher } from "../process/launcher.ts";
import { type ProcessIdentity, processIdentity } from "../process/live-process.ts";

/** After the first SIGTERM a run ends at its next safe point; after the second at once; then it is killed. */
const secondTerm = 60_000;
const finalKill = 75_000;
/** Bytes of output that are looked at for the reason of a failure. */
const tailBytes = 16_384;

export interface ChildOptions {
  readonly args: readonly string[];
  readonly cwd: string;
  /** Added to this process's environment. */
  readonly env: Readonly<Record<string, string>>;
  /** Where its output goes, from the start: it may outlive this process. */
  readonly log: string;
  /** Milliseconds. */
  readonly timeout: number;
  /** Aborting it asks the child to end at its next safe point. */
  readonly stop: AbortSignal;
  /** Called before the child does anything; where this process ends before it returns, the child never runs. */
  readonly onStart: (identity: ProcessIdentity) => void;
}

export interface ChildResult {
  /** Null where a signal ended it. */
  readonly exitCode: number | null;
  readonly timedOut: boolean;
}

// The shell waits for a word, and the same process becomes the command: its pid is known before it does anything.
const waitForGo = 'read -r go && exec "$@" </dev/null';

/** Runs the command as a child that goes on to its end even where this process is killed. */
export async function runChild(options: ChildOptions): Promise<ChildResult> {
  mkdirSync(dirname(options.log), { recursive: true, mode: 0o700 });
  const log = openSync(options.log, "w", 0o600);
  let child: ChildProcess;
  try {
    child = spawn("/bin/sh", ["-c", waitForGo, "sh", ...launcher(), ...options.args], {
      cwd: options.cwd,
      env: { ...process.env, ...options.env },
      stdio: ["pipe", log, log],
      // A process group of its own: the terminal's Ctrl-C is for this process, which passes it on once.
      detached: true,
    });
  } finally {
    closeSync(log);
  }
  const ended = new Promise<number | null>((resolve, reject) => {
    child.once("error", (cause) =>
      reject(new OpsError("E_SCHEDULE_START", "The scheduled command could not be started", { cause })),
    );
    child.once("exit", (code) => resolve(code));
  });
  let timedOut = false;
  const cancelTimeout = after(options.timeout, () => {
    timedOut = true;
    end(child);
  });
  const stop = () => end(child);
  try {
    if (child.pid !== undefined) {
      options.onStart(processIdentity(child.pid));
      // It may be gone already; that is what `ended` says.
      child.stdin?.on("error", () => undefined);
      child.stdin?.end("go\n");
      if (options.stop.aborted) stop();
      options.stop.addEventListener("abort", stop, { once: true });
    }
    return { exitCode: await ended, timedOut };
  } finally {
    // Where onStart failed, the shell reads the end of its input and goes.
    child.stdin?.destroy();
    cancelTimeout();
    options.stop.removeEventListener("abort", stop);
  }
}

function end(child: ChildProcess): void {
  child.kill("SIGTERM");
  const alive = () => child.exitCode === null && child.signalCode === null;
  after(secondTerm, () => alive() && child.kill("SIGTERM"));
  after(finalKill, () => alive() && child.kill("SIGKILL"));
}

/** The last lines that the child wrote, without empty ones. */
export async function lastLines(log: string, count: number): Promise<string[]> {
  const file = await open(log);
  try {
    const { size } = await file.stat();
    const length = Math.min(size, tailBytes);
    const { buffer } = await file.read(Buffer.alloc(length), 0, length, size - length);
    const lines = buffer.toString("utf8").split(/\r?\n/);
    return lines.filter((line) => line.trim() !== "").slice(-count);
  } finally {
    await file.close();
  }
}
