import { z } from "zod";
import { UsageError } from "../core/errors.ts";
import { name } from "../core/schema.ts";
import { withConnection } from "../postgres/connection.ts";
import { defineOperation } from "../run/operation.ts";
import { openStore } from "../storage/open-store.ts";
import { findPoint, type RestorePoint, removePoint, writePoint } from "../wal-archive/restore-point.ts";
import { archiveStores } from "./archive-stores.ts";
import { observeCluster } from "./base-source.ts";

/**
 * The name is written to the WAL first and to the archive last: a name in the archive can be restored to. A restore goes
 * by the position that the archive has beside the name, so a name that a killed attempt left in the WAL harms nothing.
 */
export const point = defineOperation({
  name: "pitr.point",
  summary: "Name this moment of a cluster, to restore to it later",
  example: "pitr point before-deploy-42 --database main",
  effect: "change",
  input: z.strictObject({
    name: name("The restore point's name; at most 63 letters").refine(
      (text) => text.length <= 63,
      "must be at most 63 letters",
    ),
    database: name("A database of the cluster").optional(),
  }),
  positional: ["name"],
  output: z.object({
    name: z.string(),
    database: z.string(),
    lsn: z.string(),
    timeline: z.number(),
    madeAt: z.string().describe("By the server's clock"),
  }),
  targets: (input, environment) => [`pitr:${environment.database(input.database).name}/${input.name}`],

  async observe(context, input) {
    const database = context.environment.database(input.database);
    for (const target of archiveStores(database)) {
      const found = await findPoint(openStore(target), database.name, input.name);
      if (found !== undefined) throw exists(input.name, found);
    }
    await observeCluster(database, context.signal);
    return { database: database.name };
  },

  plan: ({ database }, input) => [
    {
      target: `database:${database}`,
      action: "create",
      summary: `name this moment of the cluster of ${database} "${input.name}" and begin a new WAL segment`,
    },
  ],

  async apply(context, input, _before, report) {
    const database = context.environment.database(input.database);
    const stores = archiveStores(database).map(openStoreOf);
    const run = context.runId ?? null;
    let made: RestorePoint | undefined;
    for (const store of stores) made ??= await findPoint(store, database.name, input.name);
    if (made !== undefined && made.run !== run) throw exists(input.name, made);
    if (made === undefined) {
      report.progress({ message: `naming this moment of ${database.name}` });
      const { rows } = await withConnection(database, { signal: context.signal }, (client) =>
        client.query<{ lsn: string; timeline: number; madeAt: Date }>(
          `SELECT pg_create_restore_point($1)::text AS lsn, clock_timestamp() AS "madeAt",
                  ('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::int AS timeline`,
          [input.name],
        ),
      );
      const [found] = rows;
      if (found === undefined) throw new Error("a query without FROM answers with no row");
      made = {
        format: "ops-restore-point",
        version: 1,
        name: input.name,
        database: database.name,
        lsn: found.lsn,
        timeline: found.timeline,
        madeAt: found.madeAt.toISOString(),
        run,
        actor: context.actor,
      };
    }
    // The segment with the name in it is archived once it is finished.
    await withConnection(database, { signal: context.signal }, (client) =>
      client.query("SELECT pg_switch_wal()"),
    );
    for (const store of stores) await writePoint(store, made);
    const { lsn, timeline, madeAt } = made;
    return { name: input.name, database: database.name, lsn, timeline, madeAt };
  },

  async undo(context, input) {
    const database = context.environment.database(input.database);
    for (const store of archiveStores(database).map(openStoreOf)) {
      const found = await findPoint(store, database.name, input.name);
      if (found !== undefined && found.run === (context.runId ?? null)) {
        await removePoint(store, database.name, input.name);
      }
    }
    return { undone: true, note: `the name "${input.name}" stays in the WAL, where it harms nothing` };
  },

  render: (made) =>
    `Restore point "${made.name}" of ${made.database} at ${made.lsn} (${made.madeAt}); ` +
    `restore to it with: ops pitr restore --to-name ${made.name}`,
});

const openStoreOf = (target: Parameters<typeof openStore>[0]) => openStore(target);

function exists(wanted: string, { madeAt, lsn }: RestorePoint): UsageError {
  return new UsageError(
    "E_POINT_EXISTS",
    `There is a restore point "${wanted}" already, of ${madeAt} (${lsn})`,
    {
      hint: "take another name: a name stands for one moment",
    },
  );
}
