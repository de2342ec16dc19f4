import { type ChildProcess, spawn } from "node:child_process";
import { parseDuration } from "../core/duration.ts";
import { UsageError } from "../core/errors.ts";
import { launcher } from "../process/launcher.ts";
import { type ProcessIdentity, processIdentity } from "../process/live-process.ts";
import { childEnvironment } from "../process/run-program.ts";

/** Without a sign of life for so long it counts as hung; it gives one three times as often. */
const usualLease = "30s";

/**
 * Waits for a line, again and again: `alive` goes on, `done` ends it. None within the time, or the end of the input,
 * which is when its owner is gone however that died: then it runs the command that gives it back. What is asked
 * may be away at that very moment: for a quarter of an hour it is tried again, as long as the record is there.
 */
const script = `
patience=$1 record=$2
shift 2
while line=$(timeout "$patience" sh -c 'read -r line && printf %s "$line"'); do
  [ "$line" = done ] && exit 0
done
tries=1 pause=1
until "$@"; do
  [ "$tries" -lt 60 ] && [ -e "$record" ] || exit 1
  sleep "$pause"
  tries=$((tries + 1))
  [ "$pause" -ge 16 ] || pause=$((pause * 2))
done
`;

/** Milliseconds; none at all would be a watchdog that waits for ever. */
function leaseOf(text: string): number {
  const lease = parseDuration(text);
  if (lease >= 1000) return lease;
  throw new UsageError("E_DURATION", `OPS_WATCHDOG_LEASE=${text} is too short for a sign of life`, {
    hint: "give it at least 1s, or leave it out: 30s",
  });
}

/** Takes back what a canary or a ramp has given when this process dies or hangs. */
export class Watchdog {
  readonly process: ProcessIdentity | null;
  private readonly child: ChildProcess;
  private readonly timer: NodeJS.Timeout;

  /**
   * Throws `E_DURATION` (usage) where `OPS_WATCHDOG_LEASE` is none.
   *
   * @param words of the command line that aborts it, behind `ops`
   * @param record path of its record, without which there is nothing to abort
   */
  constructor(words: readonly string[], directory: string, record: string) {
    const patience = leaseOf(process.env.OPS_WATCHDOG_LEASE ?? usualLease);
    const name = "ops-canary-watchdog";
    const args = ["-c", script, name, String(patience / 1000), record, ...launcher(), ...words];
    this.child = spawn("/bin/sh", args, {
      stdio: ["pipe", "ignore", "ignore"],
      // A Ctrl-C of the terminal is not for it.
      detached: true,
      cwd: directory,
      env: { ...process.env, ...childEnvironment() },
    });
    this.child.once("error", () => undefined);
    this.child.stdin?.on("error", () => undefined);
    this.child.unref();
    this.process = this.child.pid === undefined ? null : processIdentity(this.child.pid);
    this.timer = setInterval(() => this.child.stdin?.write("alive\n"), patience / 3);
    this.timer.unref();
  }

  /** All is where it should be, or stays on purpose. */
  release(): void {
    clearInterval(this.timer);
    this.child.stdin?.end("done\n");
  }
}
