/** A comment that has its line for itself, or follows a block comment there. */
export interface LineComment {
  /** From `--` to the end of the line. */
  readonly text: string;
  /** UTF-16 index into the SQL. */
  readonly index: number;
  /** Whether nothing but comments stands before it. */
  readonly beforeStatements: boolean;
}

const token =
  /(?<comment>--[^\n]*)|(?<block>\/\*)|(?<space>\s+)|(?<dollar>\$(?:[A-Za-z_\u0080-\uffff][\w\u0080-\uffff]*)?\$)|[eE]'(?:[^'\\]+|\\[\s\S]|'')*'?|'[^']*'?|"[^"]*"?|[A-Za-z_\u0080-\uffff][\w$\u0080-\uffff]*|[\s\S]/y;

/** The comments of an SQL text, without what only looks like one: in a string, a function's body, a block comment. */
export function lineComments(sql: string): readonly LineComment[] {
  const found: LineComment[] = [];
  let beforeStatements = true;
  let ownLine = true;
  let index = 0;
  while (index < sql.length) {
    token.lastIndex = index;
    const { 0: text, groups = {} } = token.exec(sql) ?? { 0: sql.slice(index) };
    let end = index + text.length;
    if (groups.comment !== undefined) {
      if (ownLine) found.push({ text, index, beforeStatements });
    } else if (groups.block !== undefined) {
      end = blockEnd(sql, end);
    } else if (groups.space !== undefined) {
      ownLine ||= text.includes("\n");
    } else {
      beforeStatements = false;
      ownLine = false;
      if (groups.dollar !== undefined) {
        const close = sql.indexOf(text, end);
        end = close === -1 ? sql.length : close + text.length;
      }
    }
    index = end;
  }
  return found;
}

/** Block comments nest. */
function blockEnd(sql: string, from: number): number {
  const mark = /\/\*|\*\//g;
  mark.lastIndex = from;
  let depth = 1;
  for (let match = mark.exec(sql); match !== null; match = mark.exec(sql)) {
    depth += match[0] === "/*" ? 1 : -1;
    if (depth === 0) return mark.lastIndex;
  }
  return sql.length;
}
