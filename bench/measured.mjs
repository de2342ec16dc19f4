/* Runs a command line and measures what it costs: time, processor, memory; of the server beside it too. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readdirSync, readFileSync } from "node:fs";
import { availableParallelism } from "node:os";

/**
 * @typedef {object} Cost
 * @property {number} wall seconds
 * @property {number} client CPU seconds of the command and everything it started
 * @property {number} server CPU seconds of the PostgreSQL server meanwhile
 * @property {number} peak the most memory that the command's processes had together, MiB resident
 * @property {number} own share of the machine's cores that the command and the server used, 0 to 1
 * @property {number} busy share of the cores that anybody used, 0 to 1
 * @property {number} cores that the machine has
 * @property {string} stdout
 */

/** Clock ticks in a second, as Linux tells them to programs. */
const ticks = 100;
/** Milliseconds between two looks at the memory. */
const interval = 100;

/**
 * @param {string} name for the error
 * @param {string} script of a POSIX shell; every program of a pipe must end well
 * @param {{ env: Record<string, string>, cwd: string }} options servers whose data folder is below `cwd` are measured too
 * @returns {Promise<Cost>}
 */
export async function measured(name, script, { env, cwd }) {
  const servers = new Servers(cwd);
  const before = { cores: coreTicks(), at: performance.now() };
  // `times` of the shell knows what all its descendants took that were waited for.
  const shell = spawn("bash", ["-c", `set -e -o pipefail\n${script}\ntimes >&3`], {
    cwd,
    env: { ...process.env, ...env },
    stdio: ["ignore", "pipe", "pipe", "pipe"],
  });
  const texts = ["", "", ""];
  for (const [index, stream] of shell.stdio.slice(1).entries()) {
    stream?.on("data", (/** @type {Buffer} */ chunk) => {
      texts[index] = (texts[index] ?? "") + chunk;
    });
  }
  let peak = 0;
  const looking = setInterval(() => {
    const all = processes();
    peak = Math.max(peak, residentOf(shell.pid ?? 0, all));
    servers.look(all);
  }, interval);
  const [code] = await once(shell, "close");
  clearInterval(looking);
  const [stdout = "", stderr = "", times = ""] = texts;
  if (code !== 0) throw new Error(`${name} ended with ${code}: ${stderr.slice(-2000)}`);
  const wall = (performance.now() - before.at) / 1000;
  const after = coreTicks();
  const client = cpuSeconds(times.trim().split("\n")[1] ?? "");
  servers.look(processes());
  const server = servers.ticks() / ticks;
  return {
    wall,
    client,
    server,
    peak,
    own: (client + server) / (wall * availableParallelism()),
    busy: (after.busy - before.cores.busy) / (after.all - before.cores.all),
    cores: availableParallelism(),
    stdout,
  };
}

/** @param {string} line user and system time as the shell writes them: `1m2.345s 0m0.678s` */
function cpuSeconds(line) {
  return [...line.matchAll(/(\d+)m([\d.]+)s/g)].reduce((sum, [, minutes, seconds]) => {
    return sum + Number(minutes) * 60 + Number(seconds);
  }, 0);
}

/** @returns {{ pid: number, parent: number, ticks: number, ended: number }[]} every process of the machine */
function processes() {
  return readdirSync("/proc")
    .filter((each) => /^\d+$/.test(each))
    .flatMap((pid) => {
      const text = readIfThere(`/proc/${pid}/stat`);
      if (text === undefined) return [];
      // After the name in brackets: state, parent, …, utime, stime, and those of the children that were waited for.
      const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
      const number = (/** @type {number} */ index) => Number(fields[index]);
      return [
        {
          pid: Number(pid),
          parent: number(1),
          ticks: number(11) + number(12),
          ended: number(13) + number(14),
        },
      ];
    });
}

/** The servers below a folder: those that run when it is made, and those that run for a while after that. */
class Servers {
  /** @type {Map<number, { first: number, last: number }>} ticks by the postmaster's pid */
  #seen = new Map();
  #folder;

  /** @param {string} folder */
  constructor(folder) {
    this.#folder = folder;
    this.look(processes());
    for (const each of this.#seen.values()) each.first = each.last;
  }

  /** @param {ReturnType<typeof processes>} all */
  look(all) {
    for (const { pid } of all) {
      if (!this.#seen.has(pid) && !isPostmaster(pid, this.#folder)) continue;
      const now = all
        .filter((each) => each.pid === pid || each.parent === pid)
        .reduce((sum, each) => sum + each.ticks + each.ended, 0);
      const { first = 0, last = 0 } = this.#seen.get(pid) ?? {};
      this.#seen.set(pid, { first, last: Math.max(now, last) });
    }
  }

  ticks() {
    return [...this.#seen.values()].reduce((sum, { first, last }) => sum + last - first, 0);
  }
}

/** @param {number} pid @param {string} folder */
function isPostmaster(pid, folder) {
  const [program = "", ...args] = readIfThere(`/proc/${pid}/cmdline`)?.split("\0") ?? [];
  return program.endsWith("/postgres") && (args[args.indexOf("-D") + 1] ?? "").startsWith(folder);
}

/**
 * @param {number} root @param {ReturnType<typeof processes>} all
 * @returns {number} MiB; pages that processes share count for each of them
 */
function residentOf(root, all) {
  const family = new Set([root]);
  // A process may come before its parent in the list.
  for (let size = 0; size < family.size; ) {
    size = family.size;
    for (const { pid, parent } of all) if (family.has(parent)) family.add(pid);
  }
  return [...family].reduce((sum, pid) => {
    const pages = Number(readIfThere(`/proc/${pid}/statm`)?.split(" ")[1] ?? 0);
    return sum + pages / 256;
  }, 0);
}

function coreTicks() {
  const line = readFileSync("/proc/stat", "utf8").split("\n")[0] ?? "";
  const fields = line.split(/\s+/).slice(1, 9).map(Number);
  const all = fields.reduce((sum, each) => sum + each, 0);
  const idle = (fields[3] ?? 0) + (fields[4] ?? 0);
  return { all, busy: all - idle };
}

/** @param {string} path */
function readIfThere(path) {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    // The process has ended meanwhile.
    const code = error instanceof Error && "code" in error ? error.code : undefined;
    if (code === "ENOENT" || code === "ESRCH") return undefined;
    throw error;
  }
}
