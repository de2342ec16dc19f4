import type pg from "pg";
import { ensureOpsTable, opsLockSpace, opsTableExists } from "../postgres/ops-schema.ts";
import { simpleFlag } from "./simple-flag.ts";

/** Held (in the space of ops) by who changes flags, until the end of the transaction. */
const flagsAreChanged = 4;

/** What is told on every change, with the flag's name; nothing where shared rules changed. */
export const flagChannel = "ops_flag";

const columns = `
  name text PRIMARY KEY,
  definition json NOT NULL,
  updated_at timestamptz NOT NULL DEFAULT now(),
  updated_by text`;

const sharedColumns = `
  kind text NOT NULL CHECK (kind IN ('segment', 'metadata')),
  name text NOT NULL,
  position integer NOT NULL,
  definition json NOT NULL,
  PRIMARY KEY (kind, name)`;

const historyColumns = `
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  at timestamptz NOT NULL DEFAULT now(),
  actor text NOT NULL,
  run text,
  operation text NOT NULL,
  reason text,
  subject text NOT NULL,
  name text NOT NULL,
  before json,
  after json`;

/** A trigger, so that a change by hand is told as well. */
const notice = `
  CREATE OR REPLACE FUNCTION ops.tell_flag_change() RETURNS trigger LANGUAGE plpgsql AS $$
  BEGIN
    PERFORM pg_notify('${flagChannel}', CASE WHEN TG_TABLE_NAME = 'flag' THEN left(coalesce(NEW.name, OLD.name), 1000) ELSE '' END);
    RETURN NULL;
  END $$;
  CREATE OR REPLACE TRIGGER tell_flag_change AFTER INSERT OR UPDATE OR DELETE ON ops.flag
    FOR EACH ROW EXECUTE FUNCTION ops.tell_flag_change();
  CREATE OR REPLACE TRIGGER tell_flag_change AFTER INSERT OR UPDATE OR DELETE ON ops.flag_shared
    FOR EACH ROW EXECUTE FUNCTION ops.tell_flag_change();`;

/** How far the tables are: not made, of the first form (a switch and a share), or as they are now. */
export type TableForm = "missing" | "simple" | "current";

/** Reads only. */
export async function tableForm(client: pg.ClientBase): Promise<TableForm> {
  const { rows } = await client.query<{ attname: string }>(
    `SELECT attname FROM pg_attribute WHERE attrelid = to_regclass('ops.flag') AND attnum > 0 AND NOT attisdropped`,
  );
  const names = rows.map((each) => each.attname);
  if (names.length === 0) return "missing";
  if (!names.includes("definition")) return "simple";
  return (await opsTableExists(client, "ops.flag_change")) ? "current" : "missing";
}

/** Seconds that a change may hang between two statements, and that others, a kill among them, wait for it or for a row. */
const [hanging, waiting] = [20, 30];

/**
 * For the transaction: where its process is stopped or cut off, the server ends it, and others have their turn. Throws
 * `E_LOCK_TIMEOUT`, later, where somebody else's transaction has a row for too long.
 */
export async function limitWaiting(client: pg.ClientBase): Promise<void> {
  await client.query(`SET LOCAL lock_timeout = '${waiting}s'`);
  await client.query(`SET LOCAL idle_in_transaction_session_timeout = '${hanging}s'`);
}

/** Waits for whoever changes flags; the lock ends with the transaction. */
export async function lockFlags(client: pg.ClientBase): Promise<void> {
  await client.query("SELECT pg_advisory_xact_lock($1, $2)", [opsLockSpace, flagsAreChanged]);
}

/** Makes what is missing and brings a table of the first form over, each flag with its time and author. */
export async function ensureFlagTables(client: pg.ClientBase): Promise<void> {
  const form = await tableForm(client);
  if (form === "current") return;
  await ensureOpsTable(client, "ops.flag", columns);
  await ensureOpsTable(client, "ops.flag_shared", sharedColumns);
  await client.query("BEGIN");
  try {
    await lockFlags(client);
    if ((await tableForm(client)) === "simple") await bringOver(client);
    await client.query(notice);
    await client.query(`CREATE TABLE IF NOT EXISTS ops.flag_change (${historyColumns})`);
    await client.query("CREATE INDEX IF NOT EXISTS flag_change_name ON ops.flag_change (name, id)");
    await client.query("COMMIT");
  } catch (error) {
    await client.query("ROLLBACK").catch(() => undefined);
    throw error;
  }
}

/** The columns of the first form go away: an application that still reads them must fail, not read what is old. */
async function bringOver(client: pg.ClientBase): Promise<void> {
  await client.query("LOCK TABLE ops.flag IN ACCESS EXCLUSIVE MODE");
  const { rows } = await client.query<{
    name: string;
    enabled: boolean;
    rollout: number;
    description: string | null;
  }>("SELECT name, enabled, rollout::float8 AS rollout, description FROM ops.flag");
  await client.query("ALTER TABLE ops.flag ADD COLUMN definition json");
  const definitions = rows.map((row) => JSON.stringify(simpleFlag(row)));
  await client.query(
    `UPDATE ops.flag SET definition = new.definition::json
       FROM unnest($1::text[], $2::text[]) AS new (name, definition) WHERE ops.flag.name = new.name`,
    [rows.map((each) => each.name), definitions],
  );
  await client.query(
    `ALTER TABLE ops.flag ALTER COLUMN definition SET NOT NULL,
       DROP COLUMN enabled, DROP COLUMN rollout, DROP COLUMN description`,
  );
}
