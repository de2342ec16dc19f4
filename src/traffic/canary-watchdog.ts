import { type ChildProcess, spawn } from "node:child_process";
import { launcher } from "../process/launcher.ts";
import { type ProcessIdentity, processIdentity } from "../process/live-process.ts";
import { childEnvironment } from "../process/run-program.ts";

/** Milliseconds without a sign of life after which a canary counts as hung; it gives one three times as often. */
const patience = 30_000;

/**
 * Waits for a line, again and again: `alive` goes on, `done` ends it. None within the time, or the end of the input,
 * which is when its owner is gone however that died: then it becomes the command that gives the traffic back.
 */
const script = `
while line=$(timeout "$1" sh -c 'read -r line && printf %s "$line"'); do
  [ "$line" = done ] && exit 0
done
shift
exec "$@"
`;

/** Gives a canary's traffic back when this process dies or hangs. */
export class CanaryWatchdog {
  readonly process: ProcessIdentity | null;
  private readonly child: ChildProcess;
  private readonly timer: NodeJS.Timeout;

  /** @param words of the command line that aborts the canary, behind `ops` */
  constructor(words: readonly string[], directory: string) {
    const args = ["-c", script, "ops-canary-watchdog", String(patience / 1000), ...launcher(), ...words];
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

  /** The traffic is where it should be, or stays on purpose. */
  release(): void {
    clearInterval(this.timer);
    this.child.stdin?.end("done\n");
  }
}
