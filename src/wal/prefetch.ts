import { existsSync } from "node:fs";
import { readdir, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { z } from "zod";
import { OpsError } from "../core/errors.ts";
import { inParallel } from "../core/parallel.ts";
import { bootId } from "../process/boot-id.ts";
import { defineOperation } from "../run/operation.ts";
import { following, type ReadableStore, useArchivedFile } from "../wal-archive/read-file.ts";
import { clusterOfAny, pitrOf, readableStores } from "./archive.ts";
import { fetchFields, requireWalFile, writeWhole } from "./fetch.ts";
import { aheadCount, origin, ownSpool, unfinishedSuffix } from "./fetched.ts";
import { tryLock } from "./lock.ts";
import { spoolOf } from "./spool.ts";
import { callOf } from "./spool-note.ts";

/** Segments that are fetched at a time; so many must have been taken before it goes on. */
const parallel = 3;
/** It ends where the server takes so few for so long; milliseconds. */
const idleFor = 3_000;
const lookEvery = 20;
/** Bytes that lie in the spool at most. */
const mostBytes = 256 * 2 ** 20;

export const prefetch = defineOperation({
  name: "wal.prefetch",
  summary: "Fetch the segments behind one into a spool in pg_wal; wal fetch starts it by itself",
  example: "wal prefetch 00000001000000000000002A pg_wal/RECOVERYXLOG --database main",
  effect: "change",
  journaled: false,
  input: z.strictObject(fetchFields),
  positional: ["file", "path"],
  output: z.object({ fetched: z.array(z.string()) }),
  observe: async () => null,
  plan: (_before, { file }) => [
    { target: "pg_wal/ops-spool", action: "create", summary: `fetch what is behind ${file}` },
  ],

  async apply(context, { file, path, database, stores: names }) {
    requireWalFile(file);
    const target = context.environment.database(database);
    const pitr = pitrOf(target);
    const spool = spoolOf(path);
    const { file: configuration } = context.environment;
    if (spool === undefined || configuration === undefined) return { fetched: [] };
    const unlock = await tryLock(spool.fetchLock);
    if (unlock === undefined) return { fetched: [] };
    try {
      const stores = await readableStores(pitr, names);
      const cluster = await clusterOfAny(stores, target.name);
      if (cluster === undefined) return { fetched: [] };
      const { segmentBytes } = cluster;
      const count = Math.max(1, Math.min(aheadCount, Math.floor(mostBytes / segmentBytes)));
      const call = callOf(process.argv.slice(2), file, path);
      if (!ownSpool(spool, configuration, call)) return { fetched: [] };
      // What was not synced is not believed once the machine has started anew (see SpoolNote).
      const durability = bootId() === undefined ? "synced" : "written";
      const source = { stores, database: target.name, folder: spool.fetched, durability } as const;
      const fetched: string[] = [];
      for (let behind = file; ; ) {
        const wanted = following(behind, count, segmentBytes);
        const there = new Set(await cleaned(spool.fetched, new Set(wanted)));
        const missing = wanted.filter((each) => !there.has(each));
        const found = await fetchAll(source, missing, context.signal);
        fetched.push(...found);
        // The end of the archive, as it seems; the server asks again.
        if (found.length < missing.length) break;
        const next = await untilTaken(spool.fetched, wanted, context.signal);
        if (next === undefined || !isRecovering(path)) break;
        behind = next;
      }
      return { fetched };
    } finally {
      // The recovery has ended meanwhile, and what it leaves was removed while this went on.
      if (!isRecovering(path)) await rm(spool.fetched, { recursive: true, force: true });
      await unlock();
    }
  },
});

interface Source {
  readonly stores: readonly ReadableStore[];
  readonly database: string;
  /** Where the files go. */
  readonly folder: string;
  readonly durability: "synced" | "written";
}

/** Returns those that the archive has. */
async function fetchAll(
  { stores, database, folder, durability }: Source,
  files: readonly string[],
  signal: AbortSignal,
): Promise<string[]> {
  const unfinished = (each: string) => join(folder, each + unfinishedSuffix);
  // Tells the server's calls that they are on their way: to wait costs less than to fetch one twice.
  for (const each of files) await writeFile(unfinished(each), "", { mode: 0o600 });
  let ended = false;
  try {
    const fetched = await inParallel(files, parallel, signal, async (each, signal) => {
      if (ended) return [];
      try {
        const write = (content: AsyncIterable<Uint8Array>) =>
          writeWhole(join(folder, each), content, durability, unfinished(each));
        await useArchivedFile(stores, database, each, write, signal);
        return [each];
      } catch (error) {
        if (!(error instanceof OpsError) || error.code !== "E_WAL_MISSING") throw error;
        ended = true;
        await rm(unfinished(each), { force: true });
        return [];
      }
    });
    return fetched.flat();
  } finally {
    for (const each of files) await rm(unfinished(each), { force: true });
  }
}

/**
 * Waits until the server has taken some of these files, which it takes in order. To go on costs less than to start
 * again.
 *
 * @returns the last one that it took; undefined where it took none for a while
 */
async function untilTaken(
  folder: string,
  files: readonly string[],
  signal: AbortSignal,
): Promise<string | undefined> {
  const deadline = performance.now() + idleFor;
  while (performance.now() < deadline) {
    const there = new Set(await readdir(folder));
    // One that it fetched itself, before this process had begun, stays behind.
    const taken = files.findLastIndex((each) => !there.has(each)) + 1;
    if (taken >= Math.min(parallel, files.length)) return files[taken - 1];
    await delay(lookEvery, undefined, { signal });
  }
  return undefined;
}

/** Whether the server that a file is fetched for still reads an archive. */
function isRecovering(path: string): boolean {
  const data = join(dirname(path), "..");
  return ["recovery.signal", "standby.signal"].some((each) => existsSync(join(data, each)));
}

/** Removes what the server will not ask for any more; returns the rest. */
async function cleaned(folder: string, wanted: ReadonlySet<string>): Promise<string[]> {
  const kept: string[] = [];
  for (const each of await readdir(folder)) {
    if (wanted.has(each)) kept.push(each);
    else if (each !== origin) await rm(join(folder, each), { force: true });
  }
  return kept;
}
