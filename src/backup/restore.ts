import { randomBytes } from "node:crypto";
import { z } from "zod";
import { findBackup } from "../archive/catalog.ts";
import { explainedLoadError, loadBackup } from "../archive/load.ts";
import { createDatabase } from "../archive/new-database.ts";
import type { DatabaseTarget } from "../config/environment.ts";
import { formatDuration } from "../core/duration.ts";
import { causeText } from "../core/errors.ts";
import { name, size } from "../core/schema.ts";
import { formatBytes } from "../core/size.ts";
import { openerFor } from "../crypto/encryption.ts";
import { connectionEnvironment, withConnection } from "../postgres/connection.ts";
import { findProgram } from "../postgres/programs.ts";
import { interruptible } from "../run/interruptible.ts";
import { defineOperation } from "../run/operation.ts";
import { openStore } from "../storage/open-store.ts";
import { ReportedLoad } from "./load-progress.ts";
import {
  databaseComment,
  databaseExists,
  dropDatabase,
  onServer,
  renameDatabase,
  resetSettings,
  setComment,
  setForLoading,
} from "./restored-database.ts";

/**
 * Guarantee: a database of the wanted name exists only once it is whole. The restore happens in a scratch database
 * whose random name is persisted before it is made, so that whatever has that name is ours to drop, at any moment of
 * a crash; it gets its final name, in one step, after pg_restore ended well and every stored byte was verified.
 */
export const restore = defineOperation({
  name: "backup.restore",
  summary: "Restore a backup into a new database",
  example: "backup restore latest --into main_restored",
  effect: "change",
  input: z.strictObject({
    backup: z.string().default("latest").describe("The backup's id, or latest: the newest of the database"),
    into: z
      .string()
      .min(1)
      .refine((text) => Buffer.byteLength(text) <= 63 && !text.includes("\0"), "must be at most 63 bytes")
      .describe("Name of the new database; it must not exist"),
    store: name("The store it is in").optional(),
    database: name(
      "A database on the server to restore to; also the one that latest is looked up for",
    ).optional(),
    owners: z
      .enum(["keep", "skip"])
      .default("keep")
      .describe("keep: the roles that own objects must exist on the server; skip: everything is the user's"),
    jobs: z.int().min(1).max(64).default(1).describe("How many pg_restore processes at once"),
    "work-memory": size("Memory for each index that is built").prefault("512MiB"),
  }),
  positional: ["backup"],
  output: z.object({
    id: z.string().describe("The backup"),
    into: z.string().describe("The new database"),
    server: z.string().describe("The database target on whose server it is"),
    dumpBytes: z.number(),
    tables: z.number(),
    durationMs: z.number().describe("Of the attempt that finished it"),
  }),
  targets: (input, environment) => [`database:${environment.database(input.database).name}/${input.into}`],

  async observe(context, input) {
    const target = context.environment.store(input.store);
    const database = context.environment.database(input.database);
    const owner = { environment: context.environment.name, database: database.name };
    const { manifest } = await findBackup(
      openStore(target),
      target.trustedSigners,
      input.backup,
      () => owner,
    );
    await openerFor(target);
    await findProgram("pg_restore", Number.parseInt(manifest.dumpProgram, 10));
    await onServer(database, context.signal, async (client) => {
      if ((await databaseComment(client, input.into)) !== undefined) throw databaseExists(input.into);
    });
    return {
      id: manifest.id,
      scratch: `ops_restore_${randomBytes(8).toString("hex")}`,
      server: database.name,
    };
  },

  plan: (before, input) => [
    {
      target: `database:${before.server}/${input.into}`,
      action: "create",
      summary: `restore backup ${before.id} into the new database "${input.into}" on the server of ${before.server}`,
    },
  ],

  async apply(context, input, before, report) {
    const begin = context.clock.elapsed();
    const { id, scratch } = before;
    const target = context.environment.store(input.store);
    const database = context.environment.database(input.database);
    const store = openStore(target);
    const owner = { environment: context.environment.name, database: database.name };
    const { manifest } = await findBackup(store, target.trustedSigners, id, () => owner);
    const result = async () => ({
      id,
      into: input.into,
      server: database.name,
      dumpBytes: manifest.dumpBytes,
      tables: await countTables(database, input.into, context.signal),
      durationMs: Math.round(context.clock.elapsed() - begin),
    });
    const isDone = await onServer(database, context.signal, async (client) => {
      const comment = await databaseComment(client, input.into);
      if (comment?.includes(scratch) === true) return true;
      if (comment !== undefined) throw databaseExists(input.into);
      return false;
    });
    if (isDone) return result();

    const opener = await openerFor(target);
    const environment = await connectionEnvironment(database);
    const mark = `backup ${id} (run ${context.runId ?? "none"}, ${scratch})`;
    try {
      await interruptible(context, async (signal) => {
        await onServer(database, signal, async (client) => {
          await dropDatabase(client, scratch);
          await createDatabase(client, scratch, manifest.source);
          await setComment(client, scratch, `ops: restoring ${mark}`);
          await setForLoading(client, scratch, input["work-memory"]);
        });
        await loadBackup(
          { store, manifest, opener },
          {
            database: scratch,
            environment,
            jobs: input.jobs,
            options: input.owners === "skip" ? ["--no-owner", "--no-privileges"] : [],
            signal,
            progress: new ReportedLoad(report, `restoring ${id} into ${input.into}`),
          },
        );
        await onServer(database, signal, async (client) => {
          await resetSettings(client, scratch);
          await setComment(client, scratch, `ops: restored from ${mark}`);
          await renameDatabase(client, scratch, input.into);
        });
      });
    } catch (error) {
      try {
        await onServer(database, AbortSignal.timeout(30_000), (client) => dropDatabase(client, scratch));
      } catch (left) {
        // Why the restore failed matters more; a resumed or rolled back run drops it.
        report.log(`the half-restored database "${scratch}" is still there: ${causeText(left)}`);
      }
      throw explainedLoadError(error);
    }
    return result();
  },

  async undo(context, input, before) {
    const database = context.environment.database(input.database);
    return onServer(database, context.signal, async (client) => {
      await dropDatabase(client, before.scratch);
      const comment = await databaseComment(client, input.into);
      if (comment === undefined) return { undone: true };
      if (comment?.includes(before.scratch) !== true) {
        return {
          undone: false,
          note: `the database "${input.into}" is not the one that this run made; it stays`,
        };
      }
      await dropDatabase(client, input.into);
      return { undone: true, note: `the database "${input.into}" is dropped` };
    });
  },

  render: (done) =>
    `Backup ${done.id} is restored into the database "${done.into}" on the server of ${done.server}: ` +
    `${done.tables} tables, ${formatBytes(done.dumpBytes)}, in ${formatDuration(done.durationMs)}`,
});

async function countTables(database: DatabaseTarget, restored: string, signal: AbortSignal): Promise<number> {
  return withConnection(database, { signal, database: restored }, async (client) => {
    const { rows } = await client.query<{ tables: number }>(`
      SELECT count(*)::int AS tables FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
       WHERE relkind IN ('r', 'p') AND nspname !~ '^pg_' AND nspname <> 'information_schema'`);
    return rows[0]?.tables ?? 0;
  });
}
