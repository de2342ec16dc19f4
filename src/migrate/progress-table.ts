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

/** A setting that nobody makes: reading it is an error, which tells that the place is not where it is believed to be. */
const moved = "ops.migration_place_moved";

/**
 * SQL that holds the place until the transaction ends, and fails where it is not this one, because another run has gone
 * on from it. A place at the very beginning is made where there is none.
 */
export function claimPlace(place: StatementProgress): string {
  const { version, name, direction, done, total, doneChecksum, started } = place;
  const [id, title, way, checksum] = [version, name, direction, doneChecksum].map((each) =>
    pg.escapeLiteral(each),
  );
  const made =
    done > 0 || started !== null
      ? ""
      : `INSERT INTO ops.migration_progress (version, name, direction, done_checksum, done, total)
VALUES (${id}, ${title}, ${way}, ${checksum}, 0, ${total}) ON CONFLICT DO NOTHING; `;
  return `${made}WITH place AS (
  SELECT direction, done, done_checksum, started FROM ops.migration_progress WHERE version = ${id} FOR UPDATE)
SELECT CASE WHEN NOT EXISTS (
  SELECT FROM place WHERE direction = ${way} AND done = ${done} AND done_checksum = ${checksum}
    AND started IS NOT DISTINCT FROM ${started ?? "NULL"}::int)
  THEN current_setting('${moved}') END;`;
}

/** Whether an error is that of a place that could not be claimed. */
export function isPlaceMoved(error: unknown): error is Error {
  return error instanceof Error && error.message.includes(moved);
}

/** SQL that forgets the place. */
export function forgetProgress(version: string): string {
  return `DELETE FROM ops.migration_progress WHERE version = ${pg.escapeLiteral(version)};`;
}
