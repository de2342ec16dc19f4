import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, mkdirSync, openSync } from "node:fs";
import { dirname } from "node:path";
import { OpsError } from "../core/errors.ts";
import { type ProcessIdentity, processIdentity } from "./live-process.ts";

export interface GatedProgram {
  readonly words: readonly string[];
  readonly cwd: string;
  /** The whole environment of the program. */
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Where its output goes; begun anew. */
  readonly log: string;
  /** Where its exit code goes when it has ended, or `none` where it never began. */
  readonly end: string;
  /** Called before the program does anything; where this process ends before it returns, the program never runs. */
  onStart(identity: ProcessIdentity): Promise<void>;
}

/*
 * The shell waits for a word and then runs the command, whose words it only hands on. It outlives a signal to the group,
 * because a trap of its own does not reach the command, and leaves the exit code in a file that appears whole.
 */
const script = `
end=$1
shift
trap : TERM INT HUP
note() { printf '%s\\n' "$1" >"$end.new" && mv -f "$end.new" "$end"; }
if ! read -r go; then note none; exit 1; fi
"$@" </dev/null
code=$?
note "$code"
exit "$code"
`;

/**
 * Starts a program that goes on to its end even where this process is killed, and whose end is then known to whoever
 * comes after it. Resolves when it has begun. Throws `E_PROGRAM_MISSING` where there is no shell to start it.
 */
export async function startGated(program: GatedProgram): Promise<ChildProcess> {
  mkdirSync(dirname(program.log), { recursive: true, mode: 0o700 });
  const log = openSync(program.log, "w", 0o600);
  let child: ChildProcess;
  try {
    child = spawn("/bin/sh", ["-c", script, "sh", program.end, ...program.words], {
      cwd: program.cwd,
      env: program.env,
      stdio: ["pipe", log, log],
      // A process group of its own: the terminal's Ctrl-C is not for it.
      detached: true,
    });
  } finally {
    closeSync(log);
  }
  const failed = new Promise<never>((_, reject) => {
    child.once("error", (cause) =>
      reject(new OpsError("E_PROGRAM_MISSING", `${program.words[0]} could not be started`, { cause })),
    );
  });
  failed.catch(() => undefined);
  // It may be gone already; its end says so.
  child.stdin?.on("error", () => undefined);
  try {
    if (child.pid === undefined) return await failed;
    await program.onStart(processIdentity(child.pid));
    child.stdin?.end("go\n");
    child.unref();
    return child;
  } catch (error) {
    // The shell reads the end of its input and goes.
    child.stdin?.destroy();
    throw error;
  }
}
