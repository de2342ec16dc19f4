import { z } from "zod";
import { expectedLocks } from "./plan-expected-locks.ts";
import { droppedKeyLocks, type ForeignKey } from "./plan-foreign-keys.ts";
import { makeRunnable } from "./runnable.ts";
import type { SqlFile } from "./sql-file.ts";
import { isRecord, nodeOf, type Statement, splitStatements } from "./statements.ts";
import { blockedBy, lockModes } from "./test/lock-mode.ts";
import { quotedName } from "./test/relation-name.ts";
import type { Relation, TableSize } from "./test/relations.ts";
import { lineOf, oneLine } from "./test/statement-place.ts";
import { wholeBatch } from "./test/whole-batch.ts";

export const statementSchema = z.object({
  line: z.int().describe("Where it begins in its file"),
  sql: z.string().describe("Its beginning, on one line"),
  locks: z
    .array(
      z.object({
        relation: z.string(),
        mode: z.enum(lockModes),
        blocks: z.enum(["reads and writes", "writes", "row locks and writes", "nothing"]),
        bytes: z.number().nullable().describe("Size of the table, with indexes and TOAST"),
        rows: z.number().nullable().describe("The planner's estimate"),
      }),
    )
    .describe("By PostgreSQL's manual, on what is there before these migrations"),
  unknown: z.boolean().describe("It calls code that may lock more: a DO block, a function"),
});

/** What is known of the live database. */
export interface LiveRelations {
  readonly sizes: ReadonlyMap<string, TableSize>;
  /** Name of an index → name of its table. */
  readonly tableOfIndex: ReadonlyMap<string, string>;
  readonly foreignKeys: readonly ForeignKey[];
}

export function tablesOfIndexes(relations: ReadonlyMap<string, Relation>): Map<string, string> {
  return new Map(
    [...relations.values()].flatMap(({ name, tableOid }) => {
      const table = tableOid === null ? undefined : relations.get(tableOid);
      return table === undefined ? [] : [[name, table.name] as const];
    }),
  );
}

/**
 * The statements of a file with the locks to expect. `made` collects what the migrations make: a lock on it makes
 * nobody wait.
 */
export async function plannedStatements(file: SqlFile, live: LiveRelations, made: Set<string>) {
  const whole = await wholeBatch(file);
  const runnable = await makeRunnable(whole);
  const statements =
    runnable.mode === "statements"
      ? runnable.statements
      : await splitStatements(runnable.sql, { file: file.name });
  return {
    transaction: runnable.mode === "transaction",
    statements: statements.map((statement) => planned(statement, whole.sql, live, made)),
  };
}

function planned(
  statement: Statement,
  sql: string,
  { sizes, tableOfIndex, foreignKeys }: LiveRelations,
  made: Set<string>,
): z.output<typeof statementSchema> {
  const { locks, unknown } = expectedLocks(statement);
  const named = locks.map((each) => each.relation);
  const others = droppedKeyLocks(statement, named, foreignKeys);
  const known = [...locks, ...others].flatMap(({ relation, mode }) => {
    if (made.has(relation)) return [];
    const table = tableOfIndex.get(relation) ?? relation;
    const { bytes = null, rows = null } = sizes.get(table) ?? {};
    return [{ relation: table, mode, blocks: blockedBy(mode), bytes, rows }];
  });
  const created = creation(statement);
  if (created !== undefined && !sizes.has(created)) made.add(created);
  return { line: lineOf(sql, statement), sql: oneLine(statement.text), locks: known, unknown };
}

/** The table, view or index that the statement makes. */
function creation(statement: Statement): string | undefined {
  const node = nodeOf(statement);
  const into = isRecord(node.into) ? node.into.rel : undefined;
  const found = {
    CreateStmt: node.relation,
    CreateTableAsStmt: into,
    ViewStmt: node.view,
    IndexStmt: { ...(isRecord(node.relation) ? node.relation : {}), relname: node.idxname },
  }[statement.kind];
  if (!isRecord(found) || typeof found.relname !== "string") return undefined;
  return quotedName(typeof found.schemaname === "string" ? found.schemaname : undefined, found.relname);
}
