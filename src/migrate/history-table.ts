import type pg from "pg";
import { ensureOpsTable, opsTableExists } from "../postgres/ops-schema.ts";
import type { Migration } from "./migration-file.ts";

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

const table = "ops.migration";

const columns = `
  version text PRIMARY KEY,
  name text NOT NULL,
  checksum text NOT NULL,
  applied_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  applied_by text NOT NULL,
  run_id text,
  duration_ms integer NOT NULL`;

export async function ensureHistoryTable(client: pg.ClientBase): Promise<void> {
  await ensureOpsTable(client, table, columns);
}

/** In no particular order; empty where nothing was ever applied. */
export async function readHistory(client: pg.ClientBase): Promise<HistoryRow[]> {
  if (!(await opsTableExists(client, table))) return [];
  const { rows } = await client.query<HistoryRow>(`
    SELECT version, name, checksum, applied_by AS "appliedBy", run_id AS "runId", duration_ms AS "durationMs",
           to_char(applied_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') AS "appliedAt"
      FROM ops.migration`);
  return rows;
}

export interface Attribution {
  readonly appliedBy: string;
  readonly runId: string | null;
}

export async function recordApplied(
  client: pg.ClientBase,
  migration: Migration,
  by: Attribution,
  durationMs: number,
): Promise<void> {
  await client.query(
    `INSERT INTO ops.migration (version, name, checksum, applied_by, run_id, duration_ms)
     VALUES ($1, $2, $3, $4, $5, $6)`,
    [
      migration.version,
      migration.name,
      migration.up.checksum,
      by.appliedBy,
      by.runId,
      Math.round(durationMs),
    ],
  );
}

export async function recordTakenBack(client: pg.ClientBase, version: string): Promise<void> {
  await client.query("DELETE FROM ops.migration WHERE version = $1", [version]);
}
