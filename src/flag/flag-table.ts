import type pg from "pg";
import { ensureOpsTable, opsTableExists } from "../postgres/ops-schema.ts";

/** A flag as it is stored. */
export type FlagRow = {
  readonly enabled: boolean;
  /** Percent of users, 0–100, two decimals. */
  readonly rollout: number;
  readonly description: string | null;
  /** ISO 8601, UTC, microseconds. */
  readonly updatedAt: string;
  readonly updatedBy: string | null;
};

export type Flag = FlagRow & { readonly name: string };

const table = "ops.flag";

const columns = `
  name text PRIMARY KEY,
  enabled boolean NOT NULL DEFAULT false,
  rollout numeric(5, 2) NOT NULL DEFAULT 100 CHECK (rollout BETWEEN 0 AND 100),
  description text,
  updated_at timestamptz NOT NULL DEFAULT now(),
  updated_by text`;

const select = `
  SELECT name, enabled, rollout::float8 AS rollout, description, updated_by AS "updatedBy",
         to_char(updated_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS "updatedAt"
    FROM ops.flag`;

export async function ensureFlagTable(client: pg.ClientBase): Promise<void> {
  await ensureOpsTable(client, table, columns);
}

/** In the order of their names; none where the table was never made. */
export async function readFlags(client: pg.ClientBase): Promise<Flag[]> {
  if (!(await opsTableExists(client, table))) return [];
  return (await client.query<Flag>(`${select} ORDER BY name`)).rows;
}

export async function readFlag(client: pg.ClientBase, name: string): Promise<FlagRow | null> {
  if (!(await opsTableExists(client, table))) return null;
  const { rows } = await client.query<Flag>(`${select} WHERE name = $1`, [name]);
  const [flag] = rows;
  if (flag === undefined) return null;
  const { name: _, ...row } = flag;
  return row;
}

/** What a person decides about a flag. */
export type FlagSettings = Pick<FlagRow, "enabled" | "rollout" | "description">;

export async function writeFlag(
  client: pg.ClientBase,
  name: string,
  settings: FlagSettings,
  updatedBy: string,
): Promise<void> {
  await client.query(
    `INSERT INTO ops.flag (name, enabled, rollout, description, updated_by) VALUES ($1, $2, $3, $4, $5)
     ON CONFLICT (name) DO UPDATE
        SET enabled = excluded.enabled, rollout = excluded.rollout, description = excluded.description,
            updated_at = now(), updated_by = excluded.updated_by`,
    [name, settings.enabled, settings.rollout, settings.description, updatedBy],
  );
}

/** Puts a row back as it was, its time and author included; null deletes it. */
export async function restoreFlag(client: pg.ClientBase, name: string, row: FlagRow | null): Promise<void> {
  if (row === null) {
    await client.query("DELETE FROM ops.flag WHERE name = $1", [name]);
    return;
  }
  await client.query(
    `INSERT INTO ops.flag (name, enabled, rollout, description, updated_at, updated_by)
     VALUES ($1, $2, $3, $4, $5, $6)
     ON CONFLICT (name) DO UPDATE
        SET enabled = excluded.enabled, rollout = excluded.rollout, description = excluded.description,
            updated_at = excluded.updated_at, updated_by = excluded.updated_by`,
    [name, row.enabled, row.rollout, row.description, row.updatedAt, row.updatedBy],
  );
}
