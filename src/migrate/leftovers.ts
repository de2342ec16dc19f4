import type pg from "pg";
import { builtIndex } from "./completion.ts";
import { dropInvalidIndex, qualified } from "./invalid-index.ts";
import type { MigrationSession } from "./session.ts";
import { rangeOf } from "./statement-names.ts";
import { nodeOf, type Statement } from "./statements.ts";

/** Drops what interrupted tries of a statement have left half built: it burdens every write and serves no query. */
export type Clearing = () => Promise<void>;

/** To be asked before the first try: of an index without a name, only what is new is known to be its own. */
export async function leftoversOf(session: MigrationSession, statement: Statement): Promise<Clearing> {
  const { client } = session;
  if (statement.kind === "ReindexStmt") {
    return async () => dropAll(session, await transientIndexes(client, statement));
  }
  const built = builtIndex(statement);
  if (built !== undefined) return () => dropInvalidIndex(session, built);
  const table = rangeOf(nodeOf(statement).relation);
  if (statement.kind !== "IndexStmt" || table === undefined) return async () => undefined;
  const others = await invalidIndexes(client, qualified(table));
  return async () => {
    const left = await invalidIndexes(client, qualified(table));
    await dropAll(
      session,
      left.filter((each) => !others.includes(each)),
    );
  };
}

async function dropAll(session: MigrationSession, indexes: readonly string[]): Promise<void> {
  for (const each of indexes) {
    session.report.log(`index ${each} was left invalid by an earlier try: dropped`);
    // Waits for who is building it, and then finds it gone.
    await session.client.query(`DROP INDEX CONCURRENTLY IF EXISTS ${each}`);
  }
}

const name = "quote_ident(n.nspname) || '.' || quote_ident(c.relname)";
const invalid = `FROM pg_index AS i
  JOIN pg_class AS c ON c.oid = i.indexrelid
  JOIN pg_namespace AS n ON n.oid = c.relnamespace
 WHERE NOT i.indisvalid AND c.relkind = 'i'`;

async function invalidIndexes(client: pg.ClientBase, table: string): Promise<string[]> {
  const { rows } = await client.query<{ name: string }>(
    `SELECT ${name} AS name ${invalid} AND i.indrelid = to_regclass($1)
       AND NOT EXISTS (SELECT FROM pg_stat_progress_create_index AS p WHERE p.index_relid = i.indexrelid)`,
    [table],
  );
  return rows.map((each) => each.name);
}

/**
 * The copies that REINDEX CONCURRENTLY builds (`_ccnew`) and the old ones it has not dropped (`_ccold`), on the tables
 * that a statement names. The manual of REINDEX says to drop them.
 */
async function transientIndexes(client: pg.ClientBase, statement: Statement): Promise<string[]> {
  const { relation, name: schema, kind } = nodeOf(statement);
  const named = rangeOf(relation);
  const { rows } = await client.query<{ name: string }>(
    `WITH named AS (SELECT to_regclass($1)::oid AS oid UNION SELECT relid FROM pg_partition_tree(to_regclass($1))),
     tables AS (SELECT oid FROM named
       UNION SELECT indrelid FROM pg_index JOIN named ON indexrelid = named.oid
       UNION SELECT oid FROM pg_class WHERE relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = $2))
     SELECT ${name} AS name ${invalid} AND c.relname ~ '_cc(new|old)[0-9]*$'
       AND ($1::text IS NULL AND $2::text IS NULL
         OR i.indrelid IN (SELECT oid FROM tables)
         OR i.indrelid IN (SELECT reltoastrelid FROM pg_class JOIN tables USING (oid)))`,
    [named === undefined ? null : qualified(named), kind === "REINDEX_OBJECT_SCHEMA" ? String(schema) : null],
  );
  return rows.map((each) => each.name);
}
