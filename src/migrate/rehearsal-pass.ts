import type pg from "pg";
import type { DatabaseTarget } from "../config/environment.ts";
import { OpsError } from "../core/errors.ts";
import { withConnection } from "../postgres/connection.ts";
import type { OperationContext } from "../run/context.ts";
import type { Report } from "../run/operation.ts";
import { assess } from "./assessment.ts";
import { readHistory } from "./history-table.ts";
import { type Migration, type MigrationFolder, type SqlFile, title } from "./migration-file.ts";
import { rehearse } from "./rehearsal.ts";
import { type CopySource, loadCopy } from "./rehearsal-copy.ts";
import type { Pass } from "./report.ts";
import { type Statement, splitStatements } from "./statements.ts";
import { dropRoles, makeRoles, namedRoles } from "./test/named-roles.ts";
import { readTableSizes, type TableSize } from "./test/relations.ts";
import { wholeBatch } from "./test/whole-batch.ts";

/** Where a pass takes place: a throw-away server with nothing on it. */
export interface RehearsalPlace {
  readonly context: OperationContext;
  readonly server: DatabaseTarget;
  readonly signal: AbortSignal;
  readonly report: Report;
}

/** All migrations, from an empty database. */
export async function testEmpty(place: RehearsalPlace, migrations: readonly Migration[]): Promise<Pass> {
  const begin = place.context.clock.elapsed();
  const database = "empty";
  await onServer(place, (client) => client.query(`CREATE DATABASE ${database} TEMPLATE template0`));
  const { tested, notes, bytes } = await testIn(place, database, migrations, new Map());
  return {
    from: "empty",
    source: null,
    bytes,
    durationMs: Math.round(place.context.clock.elapsed() - begin),
    notes,
    migrations: tested,
  };
}

/** The migrations that the copy's own history does not hold. */
export async function testCopy(
  place: RehearsalPlace,
  source: CopySource,
  owner: DatabaseTarget,
  folder: MigrationFolder,
): Promise<Pass> {
  const begin = place.context.clock.elapsed();
  const database = "copy";
  const copyPlace = { server: place.server, signal: place.signal, database };
  const loaded = await loadCopy(place.context, source, owner, copyPlace, place.report);
  const history = await withConnection(place.server, { signal: place.signal, database }, readHistory);
  const pending = assess(folder, history).standings.flatMap((each) =>
    each.state === "pending" || each.state === "out-of-order" ? [each.migration] : [],
  );
  const { tested, notes, bytes } = await testIn(place, database, pending, loaded.realSizes);
  const version = await serverVersion(place);
  const otherMajor = Number.parseInt(version, 10) !== Number.parseInt(loaded.source.serverVersion, 10);
  return {
    from: "copy",
    source: loaded.source,
    bytes,
    durationMs: Math.round(place.context.clock.elapsed() - begin),
    notes: [
      ...loaded.notes,
      ...(otherMajor
        ? [`measured on PostgreSQL ${version}; the real one runs ${loaded.source.serverVersion}`]
        : []),
      ...notes,
    ],
    migrations: tested,
  };
}

export async function serverVersion(place: RehearsalPlace): Promise<string> {
  const { rows } = await onServer(place, (client) =>
    client.query<{ version: string }>("SELECT current_setting('server_version') AS version"),
  );
  return rows[0]?.version.split(" ")[0] ?? "";
}

/** Works in the database and removes it, with its roles, so that the next pass finds an empty server. */
async function testIn(
  place: RehearsalPlace,
  database: string,
  migrations: readonly Migration[],
  realSizes: ReadonlyMap<string, TableSize>,
) {
  const { signal, report } = place;
  const made = await onServer(place, async (client) => makeRoles(client, await rolesOf(migrations)));
  const options = { signal, database };
  const result = await withConnection(place.server, options, (client) =>
    withConnection(place.server, options, async (observer) => {
      const sizes = await readTableSizes(client);
      const measured = { client, observer, sizes, realSizes };
      const bytes = await databaseSize(client);
      const tested = await rehearse(measured, migrations, {
        onMigration: (migration, done, total) =>
          report.progress({ message: `test ${title(migration)} (${database})`, done, total }),
      });
      return { tested, bytes };
    }),
  );
  await onServer(place, async (client) => {
    await client.query(`DROP DATABASE ${database} WITH (FORCE)`);
    await dropRoles(client);
  });
  const roles = `roles that the migrations name and do not make were made for the test: ${made.join(", ")}`;
  return { ...result, notes: made.length === 0 ? [] : [roles] };
}

async function rolesOf(migrations: readonly Migration[]): Promise<string[]> {
  const files = migrations.flatMap(({ up, down }) => (down === undefined ? [up] : [up, down]));
  const statements: Statement[] = [];
  for (const file of files) {
    if (roleWords.test(file.sql)) statements.push(...(await parsed(await wholeBatch(file))));
  }
  return namedRoles(statements);
}

/** Words without one of which a file names no role. */
const roleWords = /\b(?:role|user|group|grant|revoke|owner|policy|privileges|authorization)\b/i;

async function parsed(file: SqlFile): Promise<readonly Statement[]> {
  try {
    return await splitStatements(file.sql, { file: file.name });
  } catch (error) {
    // It is the problem of its migration, which will say so.
    if (error instanceof OpsError && error.code === "E_SQL_SYNTAX") return [];
    throw error;
  }
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
