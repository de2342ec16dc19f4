import pg from "pg";

/** How far a file has come that runs statement by statement. The row goes with the last statement. */
export interface StatementProgress {
  readonly version: string;
  readonly name: string;
  readonly direction: "up" | "down";
  /** How many statements are done. */
  readonly done: number;
  readonly total: number;
  /** `sha256:…` of the statements that are done: they must still be in the file as they were. */
  readonly doneChecksum: string;
  /** The index of the statement that was begun outside a transaction and whose end is not known. */
  readonly started: number | null;
  readonly runId: string | null;
}

export const progressTable = "ops.migration_progress";

export const progressColumns = `
  version text PRIMARY KEY,
  name text NOT NULL,
  direction text NOT NULL,
  done integer NOT NULL,
  total integer NOT NULL,
  done_checksum text NOT NULL,
  started integer,
  run_id text,
  updated_at timestamptz NOT NULL DEFAULT clock_timestamp()`;

const undefinedTable = "42P01";

/** Not for use inside a transaction. */
export async function readProgress(client: pg.ClientBase): Promise<StatementProgress[]> {
  try {
    const { rows } = await client.query<StatementProgress>(
      `SELECT version, name, direction, done, total, done_checksum AS "doneChecksum", started, run_id AS "runId"
         FROM ops.migration_progress`,
    );
    return rows;
  } catch (error) {
    if (error instanceof pg.DatabaseError && error.code === undefinedTable) return [];
    throw error;
  }
}

/** SQL that keeps the place. */
export function recordProgress(progress: StatementProgress): string {
  const { version, name, direction, done, total, doneChecksum, started, runId } = progress;
  const values = [version, name, direction, doneChecksum].map((each) => pg.escapeLiteral(each));
  const run = runId === null ? "NULL" : pg.escapeLiteral(runId);
  return `INSERT INTO ops.migration_progress (version, name, direction, done_checksum, done, total, started, run_id)
VALUES (${values.join(", ")}, ${done}, ${total}, ${started ?? "NULL"}, ${run})
ON CONFLICT (version) DO UPDATE SET direction = excluded.direction, done_checksum = excluded.done_checksum,
  done = excluded.done, total = excluded.total, started = excluded.started, run_id = excluded.run_id,
  updated_at = clock_timestamp();`;
}

/** SQL that forgets the place. */
export function forgetProgress(version: string): string {
  return `DELETE FROM ops.migration_progress WHERE version = ${pg.escapeLiteral(version)};`;
}
