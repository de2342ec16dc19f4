import { readdir, readFile } from "node:fs/promises";
import { setTimeout as delay } from "node:timers/promises";

/** Milliseconds between two looks at whether a process is gone. */
const pollInterval = 20;

/**
 * Ends what a killed `ops` has left: a pgBackRest that still restores into this folder would write beside the next one.
 * Nothing else has that folder in its arguments. Where there is no /proc, pgBackRest ends by itself when it next
 * logs a line.
 */
export async function endRestoresInto(directory: string): Promise<void> {
  for (;;) {
    const left = await restoresInto(directory);
    if (left.length === 0) return;
    for (const pid of left) kill(pid);
    await delay(pollInterval);
  }
}

async function restoresInto(directory: string): Promise<number[]> {
  const found: number[] = [];
  for (const name of await readdir("/proc").catch(absent)) {
    if (!/^\d+$/.test(name)) continue;
    // A process may end between the two lines; one that has ended and is not collected has no arguments.
    const args = (await readFile(`/proc/${name}/cmdline`, "utf8").catch(() => "")).split("\0");
    if (!args.includes(`--pg1-path=${directory}`)) continue;
    if (args.some((each) => each === "restore" || each === "restore:local")) found.push(Number(name));
  }
  return found;
}

function kill(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch (error) {
    // Gone already.
    if (!(error instanceof Error && "code" in error && error.code === "ESRCH")) throw error;
  }
}

function absent(error: NodeJS.ErrnoException): string[] {
  if (error.code !== "ENOENT") throw error;
  return [];
}
