import { spawn } from "node:child_process";
import { existsSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { makeFolders, type Spool, spoolOf } from "./spool.ts";
import { configurationAt, isNoteFor, noteText } from "./spool-note.ts";

/** Notes where the files in the spool are from: another configuration or call must not take them. */
export const origin = "origin";
export const unfinishedSuffix = ".fetching";
/** Segments that are fetched ahead at a time, and how few are left when it goes on. */
export const aheadCount = 16;
const fewLeft = 8;
/** How long a file that is on its way is waited for, in milliseconds. */
const patience = 60_000;

/**
 * Gives the server a file that was fetched ahead. False where there is none; then it must be asked of a store.
 *
 * @param call as `callOf` tells it
 */
export async function takeFetched(file: string, path: string, call: readonly string[]): Promise<boolean> {
  const spool = spoolOf(path);
  if (spool === undefined || !/^[0-9A-F]{24}$/.test(file) || !isFrom(spool, call)) return false;
  const fetched = join(spool.fetched, file);
  const deadline = performance.now() + patience;
  while (!existsSync(fetched)) {
    const comes = existsSync(fetched + unfinishedSuffix) && isWorking(spool.fetchLock);
    // It may have come between the two questions.
    if (!comes && !existsSync(fetched)) return false;
    if (performance.now() > deadline) return false;
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  try {
    renameSync(fetched, path);
    return true;
  } catch {
    // Gone, or not ours to move: the store has it.
    return false;
  }
}

/** Starts to fetch what comes behind a file, where little is left and nobody does it yet. Does not wait for it. */
export function fetchAhead(file: string, path: string, args: readonly string[]): void {
  const spool = spoolOf(path);
  const command = process.argv[1];
  if (spool === undefined || command === undefined || !/^[0-9A-F]{24}$/.test(file)) return;
  if (leftIn(spool) > fewLeft || isWorking(spool.fetchLock)) return;
  const child = spawn(process.execPath, [command, "wal", "prefetch", ...args.slice(2)], {
    detached: true,
    stdio: "ignore",
  });
  // What cannot be fetched ahead is fetched when it is asked for, and its errors are told then.
  child.once("error", () => undefined);
  child.unref();
}

/**
 * Makes the spool this configuration's and call's: what is there from another one is removed.
 *
 * @returns false where no note can say whose it is
 */
export function ownSpool(spool: Spool, configuration: string, call: readonly string[]): boolean {
  if (isFrom(spool, call)) return true;
  const text = noteText({ configuration: configurationAt(configuration), call });
  if (text === undefined) return false;
  rmSync(spool.fetched, { recursive: true, force: true });
  makeFolders(dirname(spool.fetched), spool.fetched);
  writeFileSync(join(spool.fetched, origin), text, { mode: 0o600 });
  return true;
}

function isFrom(spool: Spool, call: readonly string[]): boolean {
  try {
    return isNoteFor(readFileSync(join(spool.fetched, origin), "utf8"), undefined, call);
  } catch {
    // Nothing was fetched, or by a call that was killed: as good as nothing.
    return false;
  }
}

function leftIn(spool: Spool): number {
  try {
    return readdirSync(spool.fetched).filter((each) => /^[0-9A-F]{24}$/.test(basename(each))).length;
  } catch {
    // There is no spool yet.
    return 0;
  }
}

/** Roughly: a pid that was used again only costs the reading ahead, until that process ends. */
function isWorking(lock: string): boolean {
  try {
    const { pid } = JSON.parse(readFileSync(lock, "utf8")) as { pid: number };
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
