import pg from "pg";

/**
 * Advisory locks of `ops` in a database are (`opsLockSpace`, number): the space is "ops" in ASCII. 1 is held while
 * tables of the schema `ops` are made, 2 by the one who runs migrations, 3 (shared) by who commits a migration.
 */
export const opsLockSpace = 0x6f7073;
const tableCreation = 1;
export const migrationLock = 2;

/** Whether a table of ours is there; asking makes nothing. */
export async function opsTableExists(client: pg.ClientBase, table: `ops.${string}`): Promise<boolean> {
  const { rows } = await client.query("SELECT to_regclass($1) IS NOT NULL AS exists", [table]);
  return rows[0]?.exists === true;
}

/**
 * Makes a table in the schema `ops`, and the schema, where they are missing. Two sessions at once are fine: CREATE …
 * IF NOT EXISTS alone fails with a unique violation in that race, so the making is serialised. Not for use inside a
 * transaction.
 */
export async function ensureOpsTable(
  client: pg.ClientBase,
  table: `ops.${string}`,
  columns: string,
): Promise<void> {
  if (await opsTableExists(client, table)) return;
  await client.query("BEGIN");
  try {
    await client.query("SELECT pg_advisory_xact_lock($1, $2)", [opsLockSpace, tableCreation]);
    // CREATE SCHEMA IF NOT EXISTS asks for the right to create one even where it exists.
    const { rows } = await client.query("SELECT to_regnamespace('ops') IS NULL AS missing");
    if (rows[0]?.missing === true) await client.query("CREATE SCHEMA ops");
    await client.query(`CREATE TABLE IF NOT EXISTS ${table} (${columns})`);
    await client.query("COMMIT");
  } catch (error) {
    // A connection that broke has rolled back by itself; the first error is the one to tell.
    await client.query("ROLLBACK").catch(() => undefined);
    throw error;
  }
}

/**
 * The way out where a role may not do what our own tables need; undefined for every other error. The server does not say
 * to which schema a table belongs, so it is for errors of SQL of ours.
 */
export function opsRightsHint(error: unknown): string | undefined {
  if (!(error instanceof pg.DatabaseError) || error.code !== "42501") return undefined;
  if (/ for database /.test(error.message)) {
    return "as a superuser: CREATE SCHEMA ops AUTHORIZATION ROLE; or let it make one: GRANT CREATE ON DATABASE … TO ROLE";
  }
  if (!/ for (?:schema ops|table migration\w*)$/.test(error.message)) return undefined;
  return "as the owner of schema ops: GRANT USAGE, CREATE ON SCHEMA ops TO ROLE; GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA ops TO ROLE";
}
