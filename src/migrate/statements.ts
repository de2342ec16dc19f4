import { formatDiagnostic } from "../core/diagnostic.ts";
import { UsageError } from "../core/errors.ts";
import { loadSqlParser } from "../postgres/sql-parser.ts";
import { explainPsqlInput } from "./psql-input.ts";
import { placeOfCharacter } from "./sql-position.ts";

/** One statement of an SQL text, as PostgreSQL's own parser cut it. */
export interface Statement {
  /** Without the semicolon and what stands around it. */
  readonly text: string;
  /** Where it begins: a UTF-16 index into the whole text. */
  readonly start: number;
  /** libpg-query's parse node, such as `{ IndexStmt: { idxname: "i", … } }`. */
  readonly node: unknown;
  /** The node's type: `IndexStmt`, `AlterTableStmt`. */
  readonly kind: string;
}

export interface SplitOptions {
  /** The file's name, for the error. */
  readonly file?: string;
}

/**
 * Splits an SQL text into its statements with the parser of PostgreSQL 18 (libpg-query), which also reads what older
 * servers read. Empty statements are left out. Throws `E_SQL_SYNTAX` with the place.
 */
export async function splitStatements(
  sql: string,
  options: SplitOptions = {},
): Promise<readonly Statement[]> {
  const parser = await loadSqlParser();
  try {
    const { stmts = [] } = parser.parseSync(sql);
    const indexOf = indexOfByte(sql);
    return stmts.map(({ stmt, stmt_location = 0, stmt_len }) => {
      const from = indexOf(stmt_location);
      const to = stmt_len ? indexOf(stmt_location + stmt_len) : sql.length;
      return {
        text: sql.slice(from, to).trimEnd(),
        start: from,
        node: stmt,
        kind: Object.keys(stmt ?? {})[0] ?? "",
      };
    });
  } catch (error) {
    // An empty text is no SQL to the parser, and no statement to us.
    if (sql.trim() === "") return [];
    if (!parser.hasSqlDetails(error)) throw error;
    throw syntaxError(sql, options.file ?? "sql", error.message, error.sqlDetails?.cursorPosition ?? 0);
  }
}

/** The inside of a statement's parse node. */
export function nodeOf(statement: Statement): Readonly<Record<string, unknown>> {
  const { node, kind } = statement;
  const inside = isRecord(node) ? node[kind] : undefined;
  return isRecord(inside) ? inside : {};
}

export function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null;
}

function syntaxError(sql: string, file: string, message: string, cursor: number): UsageError {
  const place = placeOfCharacter(sql, cursor + 1);
  const forPsql = explainPsqlInput(sql, [...sql].slice(0, cursor).join("").length);
  const told = forPsql === undefined ? message : `${message}: ${forPsql}`;
  return new UsageError("E_SQL_SYNTAX", formatDiagnostic({ file, ...place, message: told }), {
    hint: `mend ${file}`,
    details: { file, ...place.position },
  });
}

/** From the parser's byte offsets, asked for in rising order, to UTF-16 indexes. */
function indexOfByte(sql: string): (byte: number) => number {
  const bytes = Buffer.from(sql);
  if (bytes.length === sql.length) return (byte) => byte;
  let lastByte = 0;
  let lastIndex = 0;
  return (byte) => {
    lastIndex += bytes.subarray(lastByte, byte).toString().length;
    lastByte = byte;
    return lastIndex;
  };
}
