/** A piece of an SQL text; all of them together are the text. */
export interface SqlToken {
  readonly kind: "line comment" | "block comment" | "space" | "quoted" | "other";
  readonly text: string;
  /** UTF-16 index into the text. */
  readonly index: number;
}

const token =
  /(?<comment>--[^\r\n]*)|(?<block>\/\*)|(?<space>\s+)|(?<dollar>\$(?:[A-Za-z_\u0080-\uffff][\w\u0080-\uffff]*)?\$)|(?<quoted>[eE]'(?:[^'\\]+|\\[\s\S]|'')*'?|'[^']*'?|"[^"]*"?)|[A-Za-z_\u0080-\uffff][\w$\u0080-\uffff]*|[\s\S]/y;

/** Cuts an SQL text as PostgreSQL reads it: `quoted` is a string, a quoted name, or what stands between dollars. */
export function* sqlTokens(sql: string): Generator<SqlToken> {
  let index = 0;
  while (index < sql.length) {
    token.lastIndex = index;
    const { 0: found, groups = {} } = token.exec(sql) ?? { 0: sql.slice(index) };
    const end = index + found.length;
    const { kind, until } = measure(sql, groups, found, end);
    yield { kind, text: sql.slice(index, until), index };
    index = until;
  }
}

function measure(
  sql: string,
  groups: Readonly<Record<string, string | undefined>>,
  found: string,
  end: number,
): { readonly kind: SqlToken["kind"]; readonly until: number } {
  if (groups.comment !== undefined) return { kind: "line comment", until: end };
  if (groups.block !== undefined) return { kind: "block comment", until: blockEnd(sql, end) };
  if (groups.space !== undefined) return { kind: "space", until: end };
  if (groups.quoted !== undefined) return { kind: "quoted", until: end };
  if (groups.dollar === undefined) return { kind: "other", until: end };
  const close = sql.indexOf(found, end);
  return { kind: "quoted", until: close === -1 ? sql.length : close + found.length };
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
