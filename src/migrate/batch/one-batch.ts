import pg from "pg";
import { type Duration, formatDuration } from "../../core/duration.ts";
import { InterruptedError, OpsError } from "../../core/errors.ts";
import { title } from "../migration-file.ts";
import type { MigrationSession } from "../session.ts";
import { isConnectionLoss, isLockConflict, sqlFailure } from "../sql-failure.ts";
import { begin } from "../sql-message.ts";
import type { KeyColumn } from "./key-column.ts";
import { type BackfillPlace, lockPlace, movePlace, type PlaceKey } from "./place-table.ts";
import { characterInFile, executable, parameterised } from "./placeholders.ts";
import type { BatchStatement } from "./statement.ts";

/** A backfill, ready to run. */
export interface Backfill extends PlaceKey {
  readonly name: string;
  readonly statement: BatchStatement;
  readonly key: KeyColumn;
  readonly lockTimeout: Duration;
  /** `stays-open`: it does not end with this batch, even where no rows are left. */
  readonly ending: "may-end" | "stays-open";
  /** SQL that records the end, given how long the batches took, in milliseconds. */
  readonly record: (durationMs: number) => string;
}

export interface RanBatch {
  readonly place: BackfillPlace;
  /** Whether rows are left. */
  readonly more: boolean;
}

/**
 * Runs one batch in one transaction, together with the place and, where nothing is left after it, the record of the
 * migration. Two processes at once would take turns: the place is locked before the keys are chosen. Throws
 * `E_INTERRUPTED` where the backfill is paused, `E_BATCH_TIMEOUT` where the statement ran into its statement_timeout,
 * `E_MIGRATION_FAILED`; lock conflicts and lost connections as they are. The caller rolls back.
 *
 * @param token stands in a comment of the statement, by which its server process is found
 */
export async function runBatch(
  session: MigrationSession,
  backfill: Backfill,
  size: number,
  token: string,
): Promise<RanBatch> {
  const { client } = session;
  const { statementTimeout } = backfill.statement.file.settings;
  const start = performance.now();
  await client.query(
    `${begin(session, token, backfill.lockTimeout, statementTimeout).prefix}
     SET TRANSACTION ISOLATION LEVEL READ COMMITTED;`,
  );
  const place = await lockPlace(client, backfill);
  if (place === undefined || place.state === "done") throw goneError(backfill);
  if (place.state === "paused") throw paused(session, place);
  const batch = await nextKeys(client, backfill, place.position, size);
  const changed = batch === undefined ? 0 : await runStatement(client, backfill, batch, token);
  const more = batch !== undefined && (batch.rows >= size || (await hasMore(client, backfill, batch.end)));
  const ends = !more && backfill.ending === "may-end";
  const workMs = place.workMs + performance.now() - start;
  const moved: BackfillPlace = {
    ...place,
    position: batch?.end ?? place.position,
    size,
    batches: place.batches + (batch === undefined ? 0 : 1),
    rowsDone: place.rowsDone + (batch?.rows ?? 0),
    rowsChanged: place.rowsChanged + changed,
    workMs,
    state: ends ? "done" : "running",
    runId: session.context.runId ?? null,
  };
  await movePlace(client, moved);
  await client.query(`${ends ? backfill.record(workMs) : ""} ${session.lock.fence} COMMIT`);
  return { place: moved, more };
}

interface BatchKeys {
  readonly start: string;
  readonly end: string;
  readonly rows: number;
}

/** The first and the last key of the next rows; undefined where there are no more. */
async function nextKeys(
  client: pg.ClientBase,
  { key: { table, column, type } }: Backfill,
  position: string | null,
  size: number,
): Promise<BatchKeys | undefined> {
  const after = position === null ? "" : `WHERE ${column} > $2::${type}`;
  const text = keyText(type);
  const { rows } = await client.query<{ start: string | null; end: string | null; rows: number }>(
    `WITH batch AS MATERIALIZED (SELECT ${column} AS key FROM ${table} ${after} ORDER BY ${column} LIMIT $1)
     SELECT (SELECT ${text} FROM batch ORDER BY batch.key LIMIT 1) AS start,
            (SELECT ${text} FROM batch ORDER BY batch.key DESC LIMIT 1) AS end,
            (SELECT count(*)::int FROM batch) AS rows`,
    position === null ? [size] : [size, position],
  );
  const { start = null, end = null, rows: count = 0 } = rows[0] ?? {};
  return start === null || end === null ? undefined : { start, end, rows: count };
}

/**
 * A key as text that means the same whatever DateStyle and TimeZone the role or the machine sets. They are not set here: the
 * statement of the file is to see its own. JSON has dates in ISO 8601, with the offset from UTC.
 */
function keyText(type: string): string {
  return type === "date" || type === "timestamp with time zone" ? "to_json(key) #>> '{}'" : "key::text";
}

const queryCanceled = "57014";

async function runStatement(
  client: pg.ClientBase,
  { statement, key }: Backfill,
  batch: BatchKeys,
  token: string,
): Promise<number> {
  const { file, uses } = statement;
  const comment = `/* ops ${token} */ `;
  try {
    const result = await client.query(`${comment}${executable(file.sql, uses, key.type)}`, [
      batch.start,
      batch.end,
    ]);
    return result.rowCount ?? 0;
  } catch (error) {
    if (isConnectionLoss(error) || isLockConflict(error) || !(error instanceof pg.DatabaseError)) throw error;
    if (error.code === queryCanceled) throw timeoutError(statement, error);
    if (error.position !== undefined) {
      const character = Number(error.position) - comment.length;
      error.position = String(characterInFile(file.sql, uses, key.type, character));
    }
    const aftermath = `The batch of keys ${batch.start} to ${batch.end} failed; the batches before it are kept, and the next try goes on there`;
    const sql = parameterised(file.sql, uses);
    // The rows before it have had this statement: another one would be refused.
    const hint = `mend the rows of these keys, or what refuses them, and run it again; the statement of ${file.name} stays as it is`;
    throw await sqlFailure(
      { file, prefix: "", prefixStatements: 0, sql, start: 0, aftermath, hint },
      error,
      0,
    );
  }
}

/** Rows that came while the last batch ran are gone through too. */
async function hasMore(
  client: pg.ClientBase,
  { key: { table, column, type } }: Backfill,
  end: string,
): Promise<boolean> {
  const { rows } = await client.query(
    `SELECT EXISTS (SELECT FROM ${table} WHERE ${column} > $1::${type}) AS more`,
    [end],
  );
  return rows[0]?.more === true;
}

/** The run ends as one that was interrupted: nothing failed, and it goes on where it is. */
export function paused({ report }: MigrationSession, place: BackfillPlace): InterruptedError {
  const error = new InterruptedError(
    `The backfill ${title(place)} is paused after ${place.rowsDone} rows; let it go on with: ops migrate continue ${place.version}`,
  );
  // The end of an interrupted run says how to resume it, not why it was interrupted.
  report.log(error.message);
  return error;
}

function timeoutError({ file }: BatchStatement, cause: Error): OpsError {
  const limit = file.settings.statementTimeout;
  return new OpsError(
    "E_BATCH_TIMEOUT",
    `A batch of ${file.name} took longer than the statement_timeout${limit === undefined ? "" : ` of ${formatDuration(limit)}`}, and it cannot be made smaller`,
    {
      cause,
      hint: `look at the plan of its statement (EXPLAIN), or raise statement_timeout in ${file.name}`,
    },
  );
}

function goneError(backfill: Backfill): OpsError {
  return new OpsError(
    "E_BACKFILL_GONE",
    `Somebody else ended or removed the backfill ${title(backfill)} while it ran`,
    { hint: "see: ops migrate status", retryable: false },
  );
}
