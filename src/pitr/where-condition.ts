import pg from "pg";
import { UsageError } from "../core/errors.ts";
import { loadSqlParser } from "../postgres/sql-parser.ts";
import { sqlName, type TableName } from "./table-name.ts";

const prefix = "SELECT 1 WHERE (\n";

/** On lines of its own: a comment in it ends there. Empty for every row. */
export function whereClause(where: string | undefined): string {
  return where === undefined ? "" : ` WHERE (\n${where}\n)`;
}

/** Throws `E_INPUT` unless it is one SQL condition, which needs no server to know. */
export async function checkWhereSyntax(where: string | undefined): Promise<void> {
  if (where === undefined) return;
  const parser = await loadSqlParser();
  let statements: readonly unknown[];
  try {
    statements = parser.parseSync(`${prefix}${where}\n)`).stmts ?? [];
  } catch (error) {
    if (!parser.hasSqlDetails(error)) throw error;
    throw notACondition(where, error.message, (error.sqlDetails?.cursorPosition ?? 0) - prefix.length + 1);
  }
  const [statement] = statements;
  const keys = Object.keys(selectOf(statement) ?? {});
  const isCondition = statements.length === 1 && keys.every((each) => plainParts.includes(each));
  if (!isCondition) throw notACondition(where, "it is more than one condition");
}

const plainParts = ["targetList", "whereClause", "limitOption", "op"];

function selectOf(statement: unknown): object | undefined {
  const { stmt } = statement as { readonly stmt?: { readonly SelectStmt?: object } };
  return stmt?.SelectStmt;
}

/** Asks the server without reading a row. Throws `E_INPUT` with the place where it refuses the condition. */
export async function checkWhere(client: pg.Client, table: TableName, where: string): Promise<void> {
  const before = `SELECT 1 FROM ${sqlName(table)} WHERE (\n`;
  try {
    // The extended protocol takes one statement at a time.
    await client.query({ text: `${before}${where}\n) LIMIT 0`, queryMode: "extended" } as pg.QueryConfig);
  } catch (error) {
    if (!(error instanceof pg.DatabaseError) || !isAboutTheCondition(error.code)) throw error;
    throw notACondition(where, error.message, Number(error.position ?? 0) - before.length);
  }
}

/** Classes 42 (a name, a type, the syntax) and 22 (a value). */
function isAboutTheCondition(code: string | undefined): boolean {
  return /^(42(?!501)|22)/.test(code ?? "");
}

function notACondition(where: string, why: string, place = 0): UsageError {
  const at = place >= 1 && place <= where.length ? ` at character ${place}` : "";
  return new UsageError("E_INPUT", `--where is not a condition of SQL${at}: ${why}`, {
    hint: `write it as behind WHERE: --where "status = 'paid' AND id > 100"`,
  });
}
