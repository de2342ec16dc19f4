import { UsageError } from "../core/errors.ts";
import { withConnection } from "../postgres/connection.ts";
import type { OperationContext } from "../run/context.ts";
import type { Report } from "../run/operation.ts";
import type { RestorePoint } from "../wal-archive/restore-point.ts";
import { pointRecords } from "./point-records.ts";

/**
 * The name is written to the WAL first and to the archive last: a name in the archive can be restored to. A restore goes
 * by the position that the archive has beside the name, so a name that a killed attempt left in the WAL harms nothing.
 * What the same run has made before is the answer. Throws `E_POINT_EXISTS`.
 */
export async function makePoint(
  context: OperationContext,
  databaseName: string | undefined,
  name: string,
  report: Report,
): Promise<RestorePoint> {
  const database = context.environment.database(databaseName);
  const records = await pointRecords(context, database);
  const run = context.runId ?? null;
  let made = await records.find(name);
  if (made !== undefined && made.run !== run) throw pointExists(name, made);
  if (made === undefined) {
    await records.requireRoom();
    report.progress({ message: `naming this moment of ${database.name}` });
    const { rows } = await withConnection(database, { signal: context.signal }, (client) =>
      client.query<{ lsn: string; timeline: number; madeAt: Date }>(
        `SELECT pg_create_restore_point($1)::text AS lsn, clock_timestamp() AS "madeAt",
                ('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::int AS timeline`,
        [name],
      ),
    );
    const [found] = rows;
    if (found === undefined) throw new Error("a query without FROM answers with no row");
    made = {
      format: "ops-restore-point",
      version: 1,
      name,
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
  const other = await records.write(made, report);
  if (other !== undefined) throw pointExists(name, other);
  return made;
}

export function pointExists(wanted: string, { madeAt, lsn }: RestorePoint): UsageError {
  return new UsageError(
    "E_POINT_EXISTS",
    `There is a restore point "${wanted}" already, of ${madeAt} (${lsn})`,
    {
      hint: "take another name: a name stands for one moment",
    },
  );
}
