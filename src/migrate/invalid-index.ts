import pg from "pg";
import { OpsError } from "../core/errors.ts";
import { pause } from "../run/pause.ts";
import type { MigrationSession } from "./session.ts";

/** How long it may take until a dead runner's statement ends, in milliseconds. */
const patience = 5000;

export interface TableName {
  /** Undefined: on the search path. */
  readonly schema: string | undefined;
  readonly name: string;
}

/** An index as a statement names it. */
export interface IndexName extends TableName {
  /** The table it is on, where the statement says. An index is in the schema of its table. */
  readonly table: TableName | undefined;
}

export interface FoundIndex {
  readonly valid: boolean;
  /** Quoted where it must be: `public."Index"`. */
  readonly qualified: string;
  /** The process that is building it at this moment. */
  readonly builder: number | null;
}

export async function findIndex(client: pg.ClientBase, index: IndexName): Promise<FoundIndex | undefined> {
  const { rows } = await client.query<FoundIndex>(
    `SELECT i.indisvalid AS valid, quote_ident(n.nspname) || '.' || quote_ident(c.relname) AS qualified,
            (SELECT pid FROM pg_stat_progress_create_index AS p WHERE p.index_relid = i.indexrelid LIMIT 1) AS builder
       FROM pg_index AS i
       JOIN pg_class AS c ON c.oid = i.indexrelid
       JOIN pg_namespace AS n ON n.oid = c.relnamespace
      WHERE c.relname = $1
        AND CASE WHEN $2::text IS NOT NULL THEN i.indrelid = to_regclass($2)
                 WHEN $3::text IS NOT NULL THEN n.nspname = $3
                 ELSE pg_table_is_visible(c.oid) END`,
    [index.name, index.table === undefined ? null : qualified(index.table), index.schema ?? null],
  );
  return rows[0];
}

/**
 * Drops an index that an interrupted CREATE INDEX CONCURRENTLY has left: it is kept up to date at every write and
 * used by no query, and it stands in the way of a second try. Throws `E_INDEX_IN_BUILD` where another session is
 * building it.
 */
export async function dropInvalidIndex(session: MigrationSession, index: IndexName): Promise<void> {
  const { clock } = session.context;
  const began = clock.elapsed();
  let found = await findIndex(session.client, index);
  // The server finds out within two seconds that the runner is dead for which it builds.
  while (
    found !== undefined &&
    !found.valid &&
    found.builder !== null &&
    clock.elapsed() - began < patience
  ) {
    await pause(session.context, 200);
    found = await findIndex(session.client, index);
  }
  if (found === undefined || found.valid) return;
  if (found.builder !== null) {
    throw new OpsError(
      "E_INDEX_IN_BUILD",
      `Index ${found.qualified} is being built by another session (pid ${found.builder})`,
      { hint: "wait until it is done, or end that session, and run it again" },
    );
  }
  session.report.log(
    `index ${found.qualified} was left invalid by an earlier try: dropped, to be built again`,
  );
  await session.client.query(`DROP INDEX CONCURRENTLY IF EXISTS ${found.qualified}`);
}

/** Quoted, for SQL. */
export function qualified({ schema, name }: TableName): string {
  const quoted = pg.escapeIdentifier(name);
  return schema === undefined ? quoted : `${pg.escapeIdentifier(schema)}.${quoted}`;
}
