import type pg from "pg";
import { makeRoles } from "../archive/roles.ts";
import type { DatabaseTarget } from "../config/environment.ts";
import { withConnection } from "../postgres/connection.ts";
import type { OperationContext } from "../run/context.ts";
import type { Report } from "../run/operation.ts";
import { assess } from "./assessment.ts";
import { readHistory } from "./history-table.ts";
import { recordFile } from "./lock-recorder.ts";
import { type Migration, type MigrationFolder, title } from "./migration-file.ts";
import { notTested, rehearse } from "./rehearsal.ts";
import { type CopySource, loadCopy } from "./rehearsal-copy.ts";
import type { Pass, TestedMigration } from "./report.ts";
import { dropRoles, rolesOfMigrations } from "./test/named-roles.ts";
import { readTableSizes, type TableSize } from "./test/relations.ts";

/** Where a pass takes place: a throw-away server with nothing on it. */
export interface RehearsalPlace {
  readonly context: OperationContext;
  readonly server: DatabaseTarget;
  readonly signal: AbortSignal;
  readonly report: Report;
}

/** The database of a pass; it is gone at its end. */
const database = "rehearsal";

/**
 * All migrations, from an empty database. After one that leaves an unknown state, the others go on in a new database
 * in which everything up to that one is applied.
 */
export async function testEmpty(place: RehearsalPlace, migrations: readonly Migration[]): Promise<Pass> {
  const begin = place.context.clock.elapsed();
  const tested: TestedMigration[] = [];
  const madeRoles = new Set<string>();
  let bytes = 0;
  for (;;) {
    await onServer(place, (client) => client.query(`CREATE DATABASE ${database} TEMPLATE template0`));
    const part = await testInDatabase(place, {
      applied: migrations.slice(0, tested.length),
      migrations: migrations.slice(tested.length),
      realSizes: new Map(),
    });
    if (tested.length === 0) bytes = part.bytes;
    for (const role of part.madeRoles) madeRoles.add(role);
    tested.push(...part.results);
    if (tested.length === migrations.length || !part.lastIsApplied) break;
  }
  return {
    from: "empty",
    source: null,
    bytes,
    durationMs: Math.round(place.context.clock.elapsed() - begin),
    notes: roleNotes([...madeRoles]),
    migrations: [...tested, ...migrations.slice(tested.length).map(notTested)],
  };
}

/** The migrations that the copy's own history does not hold, up to one that leaves it in an unknown state. */
export async function testCopy(
  place: RehearsalPlace,
  source: CopySource,
  owner: DatabaseTarget,
  folder: MigrationFolder,
): Promise<Pass> {
  const begin = place.context.clock.elapsed();
  const copyPlace = { server: place.server, signal: place.signal, database };
  const loaded = await loadCopy(place.context, source, owner, copyPlace, place.report);
  const history = await withConnection(place.server, { signal: place.signal, database }, readHistory);
  const pending = assess(folder, history).standings.flatMap((each) =>
    each.state === "pending" || each.state === "out-of-order" ? [each.migration] : [],
  );
  const { results, bytes, madeRoles } = await testInDatabase(place, {
    applied: [],
    migrations: pending,
    realSizes: loaded.realSizes,
  });
  const version = await serverVersion(place);
  return {
    from: "copy",
    source: loaded.source,
    bytes,
    durationMs: Math.round(place.context.clock.elapsed() - begin),
    notes: [...loaded.notes, ...versionNotes(version, loaded.source.serverVersion), ...roleNotes(madeRoles)],
    migrations: [...results, ...pending.slice(results.length).map(notTested)],
  };
}

export async function serverVersion(place: RehearsalPlace): Promise<string> {
  const { rows } = await onServer(place, (client) =>
    client.query<{ version: string }>("SELECT current_setting('server_version') AS version"),
  );
  return rows[0]?.version.split(" ")[0] ?? "";
}

function versionNotes(here: string, real: string): string[] {
  if (Number.parseInt(here, 10) === Number.parseInt(real, 10)) return [];
  return [`measured on PostgreSQL ${here}; the real one runs ${real}`];
}

function roleNotes(made: readonly string[]): string[] {
  if (made.length === 0) return [];
  return [`roles that the migrations name and do not make were made for the test: ${made.join(", ")}`];
}

interface Work {
  /** To be applied first, without a look at what they do. */
  readonly applied: readonly Migration[];
  readonly migrations: readonly Migration[];
  readonly realSizes: ReadonlyMap<string, TableSize>;
}

/** Works in the database and removes it, with its roles, so that the next one finds an empty server. */
async function testInDatabase(place: RehearsalPlace, { applied, migrations, realSizes }: Work) {
  const { signal, report } = place;
  const roles = await rolesOfMigrations([...applied, ...migrations]);
  const madeRoles = await onServer(place, (client) => makeRoles(client, roles));
  const options = { signal, database };
  const rehearsed = await withConnection(place.server, options, (client) =>
    withConnection(place.server, options, async (observer) => {
      const bytes = await databaseSize(client);
      const measured = { client, observer, sizes: await readTableSizes(client), realSizes };
      for (const { up } of applied) await recordFile(measured, up);
      let done = applied.length;
      const total = applied.length + migrations.length;
      const result = await rehearse(measured, migrations, (migration) => {
        report.progress({ message: `test ${title(migration)}`, done, total });
        done += 1;
      });
      return { ...result, bytes };
    }),
  );
  await onServer(place, async (client) => {
    await client.query(`DROP DATABASE ${database} WITH (FORCE)`);
    await dropRoles(client);
  });
  return { ...rehearsed, madeRoles };
}

async function databaseSize(client: pg.Client): Promise<number> {
  const { rows } = await client.query<{ bytes: string }>(
    "SELECT pg_database_size(current_database())::text AS bytes",
  );
  return Number(rows[0]?.bytes ?? 0);
}

function onServer<T>(place: RehearsalPlace, work: (client: pg.Client) => Promise<T>): Promise<T> {
  return withConnection(place.server, { signal: place.signal, database: "postgres" }, work);
}
