import { spawn } from "node:child_process";
import { open, readFile } from "node:fs/promises";
import { z } from "zod";
import { OpsError } from "../core/errors.ts";
import { childEnvironment } from "../process/run-program.ts";
import { writeAtomically } from "../process/write-atomically.ts";
import type { SandboxLayout } from "./layout.ts";
import { type FoundProcess, markedProcesses, markerEnvironment, startTime } from "./process-table.ts";

export const processNames = ["database", "balancer", "blue", "green"] as const;
export type ProcessName = (typeof processNames)[number];

const recordSchema = z.strictObject({
  name: z.enum(processNames),
  pid: z.number().int().positive(),
  startTime: z.string(),
});
export type ProcessRecord = z.output<typeof recordSchema>;

/** How long a process may take to end by itself before it is killed. */
const graceMs = 5000;

/** The recorded processes that still run. */
export async function runningProcesses(layout: SandboxLayout): Promise<ProcessRecord[]> {
  const text = await readFile(layout.processes, "utf8").catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT" || error.code === "ENOTDIR") return "[]";
    throw error;
  });
  const records = z.array(recordSchema).parse(JSON.parse(text));
  const alive = await Promise.all(
    records.map(async (each) => ((await startTime(each.pid)) === each.startTime ? [each] : [])),
  );
  return alive.flat();
}

export async function recordProcesses(
  layout: SandboxLayout,
  pids: Readonly<Record<ProcessName, number>>,
): Promise<void> {
  const records: ProcessRecord[] = [];
  for (const name of processNames) {
    const started = await startTime(pids[name]);
    if (started === undefined) throw endedEarly(layout, name);
    records.push({ name, pid: pids[name], startTime: started });
  }
  await writeAtomically(layout.processes, `${JSON.stringify(records, null, 2)}\n`);
}

/** Starts a program that outlives this process; its output goes to `<name>.log`. Returns its pid. */
export async function startDetached(
  layout: SandboxLayout,
  name: ProcessName,
  file: string,
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<number> {
  await using log = await open(layout.log(name), "a", 0o600);
  const child = spawn(file, args, {
    cwd: layout.directory,
    // Debian keeps haproxy where only root's PATH leads.
    env: childEnvironment({ PATH: `${process.env.PATH}:/usr/sbin`, ...env, ...markerEnvironment(layout) }),
    detached: true,
    stdio: ["ignore", log.fd, log.fd],
  });
  const pid = await new Promise<number>((resolve, reject) => {
    child.once("error", (cause: NodeJS.ErrnoException) =>
      reject(
        cause.code === "ENOENT"
          ? new OpsError("E_PROGRAM_MISSING", `The program ${file} is not installed or not on PATH`, {
              hint:
                process.platform === "darwin" ? `run: brew install ${file}` : `run: apt-get install ${file}`,
              retryable: false,
            })
          : cause,
      ),
    );
    child.once("spawn", () => resolve(child.pid ?? 0));
  });
  child.unref();
  return pid;
}

/** The last lines of a process's log, for an error's cause. */
export async function lastLines(layout: SandboxLayout, name: ProcessName): Promise<string> {
  const text = await readFile(layout.log(name), "utf8").catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return "";
    throw error;
  });
  return text.trimEnd().split("\n").slice(-5).join("; ");
}

export function endedEarly(layout: SandboxLayout, name: ProcessName, cause?: unknown): OpsError {
  return new OpsError("E_SANDBOX_START", `The sandbox's ${name} did not start`, {
    cause,
    hint: `look at ${layout.log(name)}`,
  });
}

/**
 * Ends every process of the sandbox, the recorded ones and the ones that only their marker gives away, and looks
 * again until there is none: a child of a crashed `up` may have been about to start another one. PostgreSQL is told
 * to end at once, without writing its data: the folder goes next.
 */
export async function stopProcesses(layout: SandboxLayout): Promise<number> {
  const stopped = new Set<number>();
  const deadline = performance.now() + graceMs;
  for (let quiet = 0; quiet < 2; ) {
    const found = await sandboxProcesses(layout);
    for (const { pid, isPostgres } of found) {
      if (performance.now() > deadline) send(pid, "SIGKILL");
      else if (!stopped.has(pid)) send(pid, isPostgres ? "SIGQUIT" : "SIGTERM");
      stopped.add(pid);
    }
    quiet = found.length === 0 ? quiet + 1 : 0;
    if (performance.now() > deadline + graceMs) {
      const pids = found.map((each) => each.pid).join(", ");
      throw new OpsError("E_SANDBOX_STOP", `Processes of the sandbox do not end: ${pids}`);
    }
    await new Promise((done) => setTimeout(done, 25));
  }
  return stopped.size;
}

/** The recorded ones that still run, and the ones that carry the sandbox's marker. */
export async function sandboxProcesses(layout: SandboxLayout): Promise<FoundProcess[]> {
  const recorded = (await runningProcesses(layout)).map(
    ({ name, pid }) => [pid, { pid, isPostgres: name === "database" }] as const,
  );
  const marked = (await markedProcesses(layout)).map((each) => [each.pid, each] as const);
  return [...new Map([...recorded, ...marked]).values()];
}

function send(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch (error) {
    // It ended between the look and the signal.
    if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
  }
}
