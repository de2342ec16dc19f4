import { existsSync } from "node:fs";
import { readdir, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { z } from "zod";
import { OpsError } from "../core/errors.ts";
import { inParallel } from "../core/parallel.ts";
import { defineOperation } from "../run/operation.ts";
import { readCluster } from "../wal-archive/cluster.ts";
import { following, readArchivedFile } from "../wal-archive/read-file.ts";
import { pitrOf, readableStores } from "./archive.ts";
import { fetchFields, requireWalFile, writeWhole } from "./fetch.ts";
import { aheadCount, fetchCall, ownSpool, unfinishedSuffix } from "./fetched.ts";
import { tryLock } from "./lock.ts";
import { spoolOf } from "./spool.ts";

const parallel = 4;
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
      const [first] = stores;
      const cluster = first === undefined ? undefined : await readCluster(first.store, target.name);
      if (cluster === undefined) return { fetched: [] };
      const { segmentBytes } = cluster;
      const count = Math.max(1, Math.min(aheadCount, Math.floor(mostBytes / segmentBytes)));
      const wanted = following(file, count, segmentBytes);
      ownSpool(spool, configuration, fetchCall(file, path, process.argv.slice(2)));
      const there = new Set(await cleaned(spool.fetched, new Set(wanted)));
      const missing = wanted.filter((each) => !there.has(each));
      let ended = false;
      const fetched = await inParallel(missing, parallel, context.signal, async (each, signal) => {
        if (ended) return [];
        const whole = join(spool.fetched, each);
        // Tells the server's call that it is on its way.
        await writeFile(whole + unfinishedSuffix, "", { mode: 0o600 });
        try {
          const content = await readArchivedFile(stores, target.name, each, signal);
          await writeWhole(whole, content, whole + unfinishedSuffix);
          return [each];
        } catch (error) {
          await rm(whole + unfinishedSuffix, { force: true });
          if (!(error instanceof OpsError) || error.code !== "E_WAL_MISSING") throw error;
          // The end of the archive, as it seems; the server asks again.
          ended = true;
          return [];
        }
      });
      return { fetched: fetched.flat() };
    } finally {
      // The recovery has ended meanwhile, and what it leaves was removed while this went on.
      if (!isRecovering(path)) await rm(spool.fetched, { recursive: true, force: true });
      await unlock();
    }
  },
});

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
    else if (each !== "origin.json") await rm(join(folder, each), { force: true });
  }
  return kept;
}
