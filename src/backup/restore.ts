import { randomBytes } from "node:crypto";
import { z } from "zod";
import { refuseOlderServer, restoreProgram } from "../archive/restore-version.ts";
import type { DatabaseTarget } from "../config/environment.ts";
import { formatDuration } from "../core/duration.ts";
import { causeText, UsageError } from "../core/errors.ts";
import { formatBytes } from "../core/size.ts";
import { withConnection } from "../postgres/connection.ts";
import { interruptible } from "../run/interruptible.ts";
import { defineOperation } from "../run/operation.ts";
import { refuseContradictions, restoreInput } from "./restore-input.ts";
import { publish, type RestorePlace, type RestoreState, stateOf, takeBack } from "./restore-publish.ts";
import { rolesToMake } from "./restore-roles.ts";
import { fillScratch } from "./restore-scratch.ts";
import { openSource, plainBytesOf, rolesNamed, scopeOf } from "./restore-source.ts";
import { databaseExists, dropDatabase, findDatabase, onServer } from "./restored-database.ts";
import { timedName } from "./swap.ts";

/**
 * Guarantee: a database of the wanted name is whole at every moment, the old one or the restored one. The restore
 * happens in a scratch database whose random name is persisted before it is made, so that whatever has that name is
 * ours to drop, at any moment of a crash; it gets its final name, in one transaction, after pg_restore ended well, every
 * stored byte was verified and the checks passed.
 */
export const restore = defineOperation({
  name: "backup.restore",
  summary: "Restore a backup into a new database, or in the place of one that is there",
  example: "backup restore latest --into main_restored",
  effect: "change",
  confirmed: ["swap", "drop-old"],
  input: restoreInput,
  positional: ["backup"],
  output: z.object({
    id: z.string().describe("The backup"),
    into: z.string().describe("The restored database"),
    server: z.string().describe("The database target on whose server it is"),
    keptAs: z.string().nullable().describe("What the database that was replaced is called now"),
    endedSessions: z.number().describe("How many sessions of that one had to be ended"),
    dumpBytes: z.number().describe("Of the archives that were read, before compression"),
    tables: z.number(),
    durationMs: z.number().describe("Of the attempt that finished it"),
  }),
  targets: (input, environment) => [`database:${environment.database(input.database).name}/${input.into}`],

  async observe(context, input) {
    refuseContradictions(input);
    const { backup, database } = await openSource(context, input, input.backup);
    const { manifest } = backup;
    return onServer(database, context.signal, async (client) => {
      const found = await findDatabase(client, input.into);
      if (found !== undefined && !input.swap) throw databaseExists(input.into);
      if (found === undefined && input.swap) {
        throw new UsageError("E_DATABASE_MISSING", `The server has no database "${input.into}" to replace`, {
          hint: "leave out --swap to make a new one",
        });
      }
      const { rows } = await client.query<{ version: string }>(
        "SELECT split_part(current_setting('server_version'), ' ', 1) AS version",
      );
      const serverVersion = rows[0]?.version ?? "";
      if (input["older-server"] === "refuse") refuseOlderServer(manifest, serverVersion);
      const program = await restoreProgram(manifest, serverVersion);
      const scope = await scopeOf(backup, input);
      const named = await rolesNamed(backup, scope, input, program, context.signal);
      const now = context.clock.now();
      return {
        id: manifest.id,
        scratch: `ops_restore_${randomBytes(8).toString("hex")}`,
        server: database.name,
        serverVersion,
        roles: await rolesToMake(client, named, input),
        old:
          found === undefined
            ? null
            : {
                oid: found.oid,
                keptAs: timedName(input.into, "before", now),
                undoneAs: timedName(input.into, "undone", now),
              },
        whole: manifest.whole,
        dumpBytes: await plainBytesOf(backup, scope),
        needed: (scope.selected?.needed ?? []).map((each) => `${each.schema}.${each.name}`),
        leftOut: [...(scope.selected?.leftOut ?? [])],
        relations: (scope.selected?.relations ?? []).map((each) => `${each.schema}.${each.name}`),
      };
    });
  },

  plan(before, input) {
    const target = `database:${before.server}/${input.into}`;
    const what = before.relations.length === 0 ? `backup ${before.id}` : `a part of backup ${before.id}`;
    const roles = before.roles.map((role) => ({
      target: `database:${before.server}`,
      action: "create" as const,
      summary: `make the role "${role}", without login and password`,
    }));
    const where = `on the server of ${before.server}`;
    if (before.old === null) {
      const summary = `restore ${what} into the new database "${input.into}" ${where}`;
      return [...roles, { target, action: "create" as const, summary }];
    }
    const summary = `put ${what}, restored and checked, in the place of the database "${input.into}" ${where}; its sessions are ended`;
    const drop = { target, action: "delete" as const, summary: `drop the database that "${input.into}" was` };
    return [...roles, { target, action: "update" as const, summary }, ...(input["drop-old"] ? [drop] : [])];
  },

  notes: (before, input) => [
    ...(before.relations.length === 0 ? [] : [`restored with rows: ${before.relations.join(", ")}`]),
    ...(before.needed.length === 0 ? [] : [`needed by those, without rows: ${before.needed.join(", ")}`]),
    ...(before.leftOut.length === 0
      ? []
      : [`left out, because the other table is not restored: ${before.leftOut.join(", ")}`]),
    ...(before.whole ? [] : ["the backup holds only a part of the database that was dumped"]),
    ...(before.old === null || input["drop-old"]
      ? []
      : [`the old one is kept as "${before.old.keptAs.replace(/\d{8}T\d{6}Z$/, "<time>")}"`]),
  ],

  async apply(context, input, before, report) {
    const begin = context.clock.elapsed();
    const source = await openSource(context, input, before.id);
    const { database } = source;
    const place: RestorePlace = { database, into: input.into, before };
    const mark = `backup ${before.id} (run ${context.runId ?? "none"}, ${before.scratch})`;
    const state: RestoreState = await stateOf(place, context.signal);
    if (state === "begun") {
      const options = { ...before, mark };
      try {
        await interruptible(context, (signal) => fillScratch(source, input, options, report, signal));
      } catch (error) {
        try {
          const timeout = AbortSignal.timeout(30_000);
          await onServer(database, timeout, (client) => dropDatabase(client, before.scratch));
        } catch (left) {
          // Why the restore failed matters more; a resumed or rolled back run drops it.
          report.log(`the half-restored database "${before.scratch}" is still there: ${causeText(left)}`);
        }
        throw error;
      }
    }
    const ended = await interruptible(context, (signal) => publish(place, input, state, report, signal));
    return {
      id: before.id,
      into: input.into,
      server: database.name,
      keptAs: before.old === null || input["drop-old"] ? null : before.old.keptAs,
      endedSessions: ended,
      dumpBytes: before.dumpBytes,
      tables: await countTables(database, input.into, context.signal),
      durationMs: Math.round(context.clock.elapsed() - begin),
    };
  },

  async undo(context, input, before, report) {
    const database = context.environment.database(input.database);
    return takeBack({ database, into: input.into, before }, input, report, context.signal);
  },

  render: (done) =>
    `Backup ${done.id} is restored into the database "${done.into}" on the server of ${done.server}: ` +
    `${done.tables} tables, ${formatBytes(done.dumpBytes)}, in ${formatDuration(done.durationMs)}` +
    (done.keptAs === null
      ? ""
      : `\nThe database that was there is kept as "${done.keptAs}"` +
        `${done.endedSessions === 0 ? "" : `; ${done.endedSessions} sessions of it were ended`}`),
});

async function countTables(database: DatabaseTarget, restored: string, signal: AbortSignal): Promise<number> {
  return withConnection(database, { signal, database: restored }, async (client) => {
    const { rows } = await client.query<{ tables: number }>(`
      SELECT count(*)::int AS tables FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
       WHERE relkind IN ('r', 'p') AND nspname !~ '^pg_' AND nspname <> 'information_schema'`);
    return rows[0]?.tables ?? 0;
  });
}
