import pg from "pg";
import { OpsError } from "../core/errors.ts";
import { ensureOpsTable } from "../postgres/ops-schema.ts";
import { placeColumns, placeTable } from "./batch/place-table.ts";
import type { Migration } from "./migration.ts";
import { progressColumns, progressTable } from "./progress-table.ts";

/** One applied migration. A row is written in the transaction that applied it, so there is never one without the other. */
export interface HistoryRow {
  readonly version: string;
  readonly name: string;
  readonly checksum: string;
  /** ISO 8601, UTC. */
  readonly appliedAt: string;
  readonly appliedBy: string;
  /** Null where it was applied outside a journaled run. */
  readonly runId: string | null;
  readonly durationMs: number;
}

/** How long a file took, in milliseconds: measured here, or by the server in the transaction that it stands for. */
export type Took = number | typeof sinceBegin;

/** SQL: milliseconds since the transaction began. */
export const sinceBegin = "extract(epoch FROM clock_timestamp() - transaction_timestamp()) * 1000";

/** What was done to one version; lines are only ever added. */
export type LogAction = "up" | "down" | "adopt" | "baseline" | "repair" | "forget";

const tables = [
  {
    name: "ops.migration",
    columns: `
      version text PRIMARY KEY,
      name text NOT NULL,
      checksum text NOT NULL,
      applied_at timestamptz NOT NULL DEFAULT clock_timestamp(),
      applied_by text NOT NULL,
      run_id text,
      duration_ms integer NOT NULL`,
  },
  {
    name: "ops.migration_log",
    columns: `
      id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
      at timestamptz NOT NULL DEFAULT clock_timestamp(),
      action text NOT NULL,
      version text NOT NULL,
      name text NOT NULL,
      checksum text NOT NULL,
      actor text NOT NULL,
      run_id text,
      duration_ms integer`,
  },
  { name: progressTable, columns: progressColumns },
  { name: placeTable, columns: placeColumns },
] as const;

export async function ensureHistoryTable(client: pg.ClientBase): Promise<void> {
  const { rows } = await client.query<{ name: string }>(
    "SELECT name FROM unnest($1::text[]) AS name WHERE to_regclass(name) IS NULL",
    [tables.map((each) => each.name)],
  );
  for (const { name, columns } of tables) {
    if (rows.some((row) => row.name === name)) await ensureOpsTable(client, name, columns);
  }
}

const undefinedTable = "42P01";
const insufficientPrivilege = "42501";

/** The rows of a query on tables of ours; none where the tables are not there yet. */
export async function rowsIfThere<T extends pg.QueryResultRow>(
  client: pg.ClientBase,
  sql: string,
): Promise<T[]> {
  try {
    return (await client.query<T>(sql)).rows;
  } catch (error) {
    if (!(error instanceof pg.DatabaseError)) throw error;
    if (error.code === undefinedTable) return [];
    if (error.code !== insufficientPrivilege) throw error;
    throw new OpsError("E_SQL", `The history of migrations cannot be read: ${error.message}`, {
      cause: error,
      hint: "as its owner: GRANT USAGE ON SCHEMA ops TO ROLE; GRANT SELECT ON ALL TABLES IN SCHEMA ops TO ROLE",
      details: { sqlstate: error.code },
      retryable: false,
    });
  }
}

/** Whether a record failed because another process has recorded the same migration. */
export function isAppliedElsewhere(error: unknown): boolean {
  if (!(error instanceof pg.DatabaseError) || error.code !== "23505") return false;
  return error.schema === "ops" && error.constraint === "migration_pkey";
}

/** In no particular order; empty where nothing was ever applied. Not for use inside a transaction. */
export async function readHistory(client: pg.ClientBase): Promise<HistoryRow[]> {
  return rowsIfThere<HistoryRow>(
    client,
    `SELECT version, name, checksum, applied_by AS "appliedBy", run_id AS "runId", duration_ms AS "durationMs",
            to_char(applied_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') AS "appliedAt"
       FROM ops.migration`,
  );
}

export interface Attribution {
  readonly appliedBy: string;
  readonly runId: string | null;
}

/**
 * SQL that records a migration as applied: part of the transaction that applies it. Fails with a unique violation
 * where somebody else has recorded it since.
 *
 * @param previous the row that is replaced: of a repeatable migration
 */
export function recordApplied(
  migration: Migration,
  by: Attribution,
  took: Took,
  previous?: HistoryRow,
): string {
  const { version, name, up } = migration;
  const replaced =
    previous === undefined
      ? ""
      : `DELETE FROM ops.migration WHERE version = ${literals(previous.version)} AND checksum = ${literals(previous.checksum)};\n`;
  // One statement for both tables: with a thousand small files, each statement counts.
  return `${replaced}WITH applied AS (
  INSERT INTO ops.migration (version, name, checksum, applied_by, run_id, duration_ms)
  VALUES (${literals(version, name, up.checksum, by.appliedBy, by.runId)}, ${milliseconds(took)})
  RETURNING version, name, checksum, applied_by, run_id, duration_ms)
INSERT INTO ops.migration_log (action, version, name, checksum, actor, run_id, duration_ms)
SELECT 'up', applied.* FROM applied;`;
}

/** SQL that takes the record of a migration away again. */
export function recordTakenBack(
  row: Pick<HistoryRow, "version" | "name" | "checksum">,
  by: Attribution,
  took: Took,
  action: LogAction = "down",
): string {
  return `DELETE FROM ops.migration WHERE version = ${literals(row.version)};
${logLine(action, row, by, took)}`;
}

/** SQL that adds one line to the log. */
export function logLine(
  action: LogAction,
  { version, name, checksum }: Pick<HistoryRow, "version" | "name" | "checksum">,
  by: Attribution,
  took: Took | null,
): string {
  return `INSERT INTO ops.migration_log (action, version, name, checksum, actor, run_id, duration_ms)
VALUES (${literals(action, version, name, checksum, by.appliedBy, by.runId)}, ${took === null ? "NULL" : milliseconds(took)});`;
}

/** Values as SQL, separated by commas. */
export function literals(...values: readonly (string | number | null)[]): string {
  return values
    .map((each) =>
      each === null ? "NULL" : typeof each === "number" ? String(each) : pg.escapeLiteral(each),
    )
    .join(", ");
}

function milliseconds(took: Took): string {
  return typeof took === "number" ? String(Math.round(took)) : `(${took})::int`;
}
