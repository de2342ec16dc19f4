import pg from "pg";
import { canonicalVersion } from "../version.ts";

/**
 * Where a backfill is. The row changes in the transaction of each batch, so that rows and place are kept or lost
 * together: after a crash anywhere no row is met twice and none is left out.
 */
export type BackfillPlace = {
  readonly version: string;
  readonly name: string;
  readonly direction: "up" | "down";
  /** `sha256:…` of the statement, the table and the key: what may not change in the middle. */
  readonly checksum: string;
  /** Text of the last key that is done; null before the first batch. */
  readonly position: string | null;
  /** Rows of the next batch. */
  readonly size: number;
  readonly batches: number;
  /** Rows whose keys were gone through. */
  readonly rowsDone: number;
  /** Rows that the statement changed: fewer where it has conditions of its own. */
  readonly rowsChanged: number;
  /** The server's estimate at the start. */
  readonly rowsExpected: number;
  /** Time spent in batches, without pauses, in milliseconds. */
  readonly workMs: number;
  readonly state: "running" | "paused" | "done";
  /** The run that worked on it last; until a batch is done, the one that began it. */
  readonly runId: string | null;
  /** ISO 8601, UTC. */
  readonly startedAt: string;
  readonly updatedAt: string;
};

export const placeTable = "ops.migration_batch";

export const placeColumns = `
  version text NOT NULL,
  direction text NOT NULL CHECK (direction IN ('up', 'down')),
  name text NOT NULL,
  checksum text NOT NULL,
  position text,
  size integer NOT NULL,
  batches integer NOT NULL DEFAULT 0,
  rows_done bigint NOT NULL DEFAULT 0,
  rows_changed bigint NOT NULL DEFAULT 0,
  rows_expected bigint NOT NULL,
  work_ms bigint NOT NULL DEFAULT 0,
  state text NOT NULL DEFAULT 'running' CHECK (state IN ('running', 'paused', 'done')),
  run_id text,
  started_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  updated_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  PRIMARY KEY (version, direction)`;

const selected = `version, name, direction, checksum, position, size, batches, rows_done::float8 AS "rowsDone",
  rows_changed::float8 AS "rowsChanged", rows_expected::float8 AS "rowsExpected", work_ms::float8 AS "workMs", state,
  run_id AS "runId",
  to_char(started_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') AS "startedAt",
  to_char(updated_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') AS "updatedAt"`;

const undefinedTable = "42P01";

/** All backfills that ever began and were not taken back, the newest first. Not for use inside a transaction. */
export async function readPlaces(client: pg.ClientBase): Promise<BackfillPlace[]> {
  try {
    const { rows } = await client.query<BackfillPlace>(
      `SELECT ${selected} FROM ops.migration_batch ORDER BY started_at DESC`,
    );
    return rows;
  } catch (error) {
    if (error instanceof pg.DatabaseError && error.code === undefinedTable) return [];
    throw error;
  }
}

export type PlaceKey = Pick<BackfillPlace, "version" | "direction">;

/**
 * Begins a backfill, or finds the one that was begun, by whichever run. One that is done and to be done again was taken back in
 * between: it begins anew.
 */
export async function beginPlace(
  client: pg.ClientBase,
  begun: Pick<
    BackfillPlace,
    "version" | "name" | "direction" | "checksum" | "size" | "rowsExpected" | "runId"
  >,
): Promise<BackfillPlace> {
  const { version, name, direction, checksum, size, rowsExpected, runId } = begun;
  await respell(client, begun);
  await client.query(
    "DELETE FROM ops.migration_batch WHERE version = $1 AND direction = $2 AND state = 'done'",
    [version, direction],
  );
  const { rows } = await client.query<BackfillPlace>(
    `INSERT INTO ops.migration_batch (version, name, direction, checksum, size, rows_expected, run_id)
     VALUES ($1, $2, $3, $4, $5, $6, $7)
     ON CONFLICT (version, direction) DO UPDATE SET name = excluded.name
     RETURNING ${selected}`,
    [version, name, direction, checksum, size, Math.round(rowsExpected), runId],
  );
  const [place] = rows;
  if (place === undefined) throw new Error(`the place of backfill ${version} was not written`);
  return place;
}

/** A file renamed from `2_fill` to `0002_fill` is the same backfill. */
async function respell(client: pg.ClientBase, { version, direction }: PlaceKey): Promise<void> {
  const places = (await readPlaces(client)).filter((each) => each.direction === direction);
  if (places.some((each) => each.version === version)) return;
  const other = places.find((each) => canonicalVersion(each.version) === canonicalVersion(version));
  if (other === undefined) return;
  await client.query("UPDATE ops.migration_batch SET version = $3 WHERE version = $1 AND direction = $2", [
    other.version,
    direction,
    version,
  ]);
}

/** Reads the place and keeps it from everybody else until the transaction ends. Undefined where somebody removed it. */
export async function lockPlace(client: pg.ClientBase, key: PlaceKey): Promise<BackfillPlace | undefined> {
  const { rows } = await client.query<BackfillPlace>(
    `SELECT ${selected} FROM ops.migration_batch WHERE version = $1 AND direction = $2 FOR UPDATE`,
    [key.version, key.direction],
  );
  return rows[0];
}

/** Part of the transaction of a batch. */
export async function movePlace(client: pg.ClientBase, place: BackfillPlace): Promise<void> {
  await client.query(
    `UPDATE ops.migration_batch
        SET position = $3, batches = $4, rows_done = $5, rows_changed = $6, work_ms = $7, state = $8, size = $9,
            run_id = $10, updated_at = clock_timestamp()
      WHERE version = $1 AND direction = $2`,
    [
      place.version,
      place.direction,
      place.position,
      place.batches,
      place.rowsDone,
      place.rowsChanged,
      Math.round(place.workMs),
      place.state,
      place.size,
      place.runId,
    ],
  );
}

/** Sets or takes away the pause. Undefined where there is no such backfill under way. */
export async function setPaused(
  client: pg.ClientBase,
  key: PlaceKey,
  state: "running" | "paused",
): Promise<BackfillPlace | undefined> {
  const { rows } = await client.query<BackfillPlace>(
    `UPDATE ops.migration_batch SET state = $3
      WHERE version = $1 AND direction = $2 AND state <> 'done' RETURNING ${selected}`,
    [key.version, key.direction, state],
  );
  return rows[0];
}

/** SQL that forgets the backfills of a version in both directions: part of the transaction that takes it back. */
export function forgetPlaces(version: string): string {
  return `DELETE FROM ops.migration_batch WHERE version = ${pg.escapeLiteral(version)};`;
}
