import { sqlTokens } from "./sql-tokens.ts";

/** A comment that has its line for itself, or follows a block comment there. */
export interface LineComment {
  /** From `--` to the end of the line. */
  readonly text: string;
  /** UTF-16 index into the SQL. */
  readonly index: number;
  /** Whether nothing but comments stands before it. */
  readonly beforeStatements: boolean;
}

/** The comments of an SQL text, without what only looks like one: in a string, a function's body, a block comment. */
export function lineComments(sql: string): readonly LineComment[] {
  const found: LineComment[] = [];
  let beforeStatements = true;
  let ownLine = true;
  for (const { kind, text, index } of sqlTokens(sql)) {
    if (kind === "line comment") {
      if (ownLine) found.push({ text, index, beforeStatements });
    } else if (kind === "space") {
      ownLine ||= text.includes("\n");
    } else if (kind !== "block comment") {
      beforeStatements = false;
      ownLine = false;
    }
  }
  return found;
}
