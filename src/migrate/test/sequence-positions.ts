import pg from "pg";
import { quotedName } from "./relation-name.ts";

/** Where a sequence stands. */
export interface SequencePosition {
  readonly increment: bigint;
  /** What it gives next, whether or not it may still give it. */
  readonly next: bigint;
}

/** By name, as SQL would write it: one that a way down makes anew is the same to the application. */
export type SequencePositions = ReadonlyMap<string, SequencePosition>;

export async function readSequencePositions(client: pg.ClientBase): Promise<SequencePositions> {
  const { rows: sequences } = await client.query<{ schema: string; name: string; increment: string }>(`
    SELECT n.nspname AS schema, c.relname AS name, s.seqincrement::text AS increment
      FROM pg_catalog.pg_sequence s
      JOIN pg_catalog.pg_class c ON c.oid = s.seqrelid
      JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
     WHERE n.nspname NOT IN ('information_schema', 'ops') AND n.nspname !~ '^pg_'
     ORDER BY c.oid`);
  const positions = new Map<string, SequencePosition>();
  for (const { schema, name, increment } of sequences) {
    const { rows } = await client.query<{ last: string; called: boolean }>(
      `SELECT last_value::text AS last, is_called AS called
         FROM ${pg.escapeIdentifier(schema)}.${pg.escapeIdentifier(name)}`,
    );
    const last = BigInt(rows[0]?.last ?? 0);
    const step = BigInt(increment);
    const next = rows[0]?.called === true ? last + step : last;
    positions.set(quotedName(schema, name), { increment: step, next });
  }
  return positions;
}
