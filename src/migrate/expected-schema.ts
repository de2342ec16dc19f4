import { join } from "node:path";
import pg from "pg";
import type { DatabaseTarget } from "../config/environment.ts";
import { Secret } from "../config/secret.ts";
import { milliseconds } from "../core/duration.ts";
import { causeText, OpsError } from "../core/errors.ts";
import { withConnection } from "../postgres/connection.ts";
import { withThrowAwayCluster } from "../postgres/throw-away-cluster.ts";
import { readSchema } from "../postgres-schema/read-schema.ts";
import type { DatabaseSchema } from "../postgres-schema/schema-object.ts";
import type { OperationContext } from "../run/context.ts";
import type { Report } from "../run/operation.ts";
import { applyMigrations } from "./apply-migrations.ts";
import type { Migration } from "./migration-file.ts";
import { withMigrationSession } from "./session.ts";
import { nodeOf, splitStatements } from "./statements.ts";

/** Names of the live database that migrations may rely on. */
export interface Surroundings {
  readonly databaseName: string;
  /** Who runs the migrations; a superuser in the throw-away server. */
  readonly user: string;
  readonly roles: readonly string[];
}

const limits = { lockTimeout: milliseconds(10_000), attempts: 1 };

/**
 * The schema that migrations give when they run, in this order, in an empty database: on a throw-away server that is
 * gone when the promise settles, by the same runner that runs them on the real one. The database, the role and the other
 * roles are called as in `surroundings`. Of those in `changed` what was applied is not known; where their text of now
 * fails, since it is for what is pending, they are left out. Throws `E_MIGRATIONS_FROM_EMPTY`.
 */
export async function expectedSchema(
  context: OperationContext,
  live: DatabaseTarget,
  migrations: readonly Migration[],
  changed: readonly Migration[],
  surroundings: Surroundings,
  report: Report,
): Promise<DatabaseSchema> {
  const { signal } = context;
  const made = await rolesMadeBy(migrations);
  const roles = surroundings.roles.filter((each) => !made.has(each));
  report.progress({ message: "start a throw-away server" });
  return withThrowAwayCluster(
    { parent: join(context.stateDirectory, "throw-away"), signal },
    async (cluster) => {
      const { databaseName, user } = surroundings;
      const { password } = new URL(cluster.url());
      await withConnection(serverTarget(live, cluster.url()), { signal }, (client) =>
        makeDatabase(client, { ...surroundings, roles }, decodeURIComponent(password)),
      );
      const target = serverTarget(live, withUser(cluster.url(databaseName), user));
      await run(context, target, migrations, changed, report);
      return withConnection(target, { signal }, readSchema);
    },
  );
}

/** The same password is that of every user of a throw-away server. */
function withUser(url: string, user: string): string {
  const changed = new URL(url);
  changed.username = encodeURIComponent(user);
  return changed.href;
}

function serverTarget(live: DatabaseTarget, url: string): DatabaseTarget {
  return { ...live, url: new Secret(url, "/"), password: undefined };
}

async function run(
  context: OperationContext,
  target: DatabaseTarget,
  migrations: readonly Migration[],
  changed: readonly Migration[],
  report: Report,
): Promise<void> {
  const firstChanged = migrations.findIndex((each) => changed.includes(each));
  const sure = firstChanged === -1 ? migrations.length : firstChanged;
  try {
    await withMigrationSession(context, target, limits.lockTimeout, report, async (session) => {
      await applyMigrations(session, migrations.slice(0, sure), limits, migrations.length);
      for (const each of migrations.slice(sure)) {
        try {
          await applyMigrations(session, [each], limits, migrations.length);
        } catch (error) {
          const fails = error instanceof OpsError && error.code === "E_MIGRATION_FAILED";
          if (!fails || !changed.includes(each)) throw error;
          report.log(`${each.up.name} is left out: ${error.message}`);
        }
      }
    });
  } catch (cause) {
    context.signal.throwIfAborted();
    if (!(cause instanceof OpsError) || cause.code === "E_INTERRUPTED") throw cause;
    throw new OpsError(
      "E_MIGRATIONS_FROM_EMPTY",
      `The migrations of database ${target.name} cannot be run from empty on a throw-away server: ${cause.message}`,
      {
        cause: causeText(cause.cause),
        hint: "mend the migration, or install on this machine what it needs (an extension?)",
        retryable: false,
      },
    );
  }
}

/** These must not be there before. What a DO block makes looks first, or it would fail in the real cluster too. */
async function rolesMadeBy(migrations: readonly Migration[]): Promise<Set<string>> {
  const suspects = migrations.filter(({ up }) => /\bCREATE\s+(ROLE|USER|GROUP)\b/i.test(up.sql));
  const statements = await Promise.all(suspects.map(({ up }) => splitStatements(up.sql, { file: up.name })));
  return new Set(
    statements.flat().flatMap((each) => {
      const { role } = each.kind === "CreateRoleStmt" ? nodeOf(each) : {};
      return typeof role === "string" ? [role] : [];
    }),
  );
}

/** The database belongs to whom it belongs to where the migrations really run. */
async function makeDatabase(
  client: pg.ClientBase,
  { databaseName, user, roles }: Surroundings,
  password: string,
): Promise<void> {
  const { rows } = await client.query<{ name: string }>("SELECT rolname AS name FROM pg_roles");
  const known = new Set(rows.map((each) => each.name));
  for (const role of new Set([user, ...roles])) {
    if (!known.has(role)) await client.query(`CREATE ROLE ${pg.escapeIdentifier(role)}`);
  }
  const owner = pg.escapeIdentifier(user);
  await client.query(`ALTER ROLE ${owner} LOGIN SUPERUSER PASSWORD ${pg.escapeLiteral(password)}`);
  if (databaseName !== "postgres") {
    await client.query(
      `CREATE DATABASE ${pg.escapeIdentifier(databaseName)} TEMPLATE template0 OWNER ${owner}`,
    );
  }
}
