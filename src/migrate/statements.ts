/** One statement of an SQL text. */
export interface Statement {
  /** Where it begins: a UTF-16 index into the text. */
  readonly index: number;
  /** Its first few words outside strings and quoted names, in capitals. */
  readonly words: readonly string[];
}

const space = /\s+/y;
const lineComment = /--[^\n]*/y;
const word = /[A-Za-z_\u0080-\uffff][\w$\u0080-\uffff]*/y;
const dollarTag = /\$(?:[A-Za-z_\u0080-\uffff][\w\u0080-\uffff]*)?\$/y;
const plainString = /'(?:[^']|'')*(?:'|$)/y;
const escapeString = /'(?:[^'\\]|''|\\[\s\S])*(?:'|$)/y;
const quotedName = /"(?:[^"]|"")*(?:"|$)/y;

/**
 * Splits an SQL text where the server does: at semicolons outside strings, comments and the bodies of functions, quoted
 * or written as BEGIN ATOMIC … END (told apart as psql does it). Empty statements are left out, as the server does.
 * Reads strings with standard_conforming_strings on.
 */
export function statements(sql: string): Statement[] {
  const all: Statement[] = [];
  let words: string[] = [];
  let start: number | undefined;
  let bodyDepth = 0;
  let index = 0;

  const take = (pattern: RegExp): string | undefined => {
    pattern.lastIndex = index;
    const match = pattern.exec(sql)?.[0];
    if (match !== undefined) index += match.length;
    return match;
  };
  const endStatement = () => {
    if (start !== undefined) all.push({ index: start, words });
    words = [];
    start = undefined;
  };

  while (index < sql.length) {
    if (take(space) !== undefined || take(lineComment) !== undefined) continue;
    if (sql.startsWith("/*", index)) {
      index = endOfBlockComment(sql, index);
      continue;
    }
    if (sql[index] === ";" && bodyDepth === 0) {
      endStatement();
      index += 1;
      continue;
    }
    start ??= index;
    const found = take(word);
    if (found !== undefined) {
      if (/^e$/i.test(found) && sql[index] === "'") {
        take(escapeString);
        continue;
      }
      const upper = found.toUpperCase();
      if (definesRoutine(words)) bodyDepth += bodyStep(upper, bodyDepth);
      // Beyond the first few, a statement's words say nothing about what kind it is.
      if (words.length < 4) words.push(upper);
      continue;
    }
    const tag = take(dollarTag);
    if (tag !== undefined) {
      const end = sql.indexOf(tag, index);
      index = end === -1 ? sql.length : end + tag.length;
      continue;
    }
    if (take(plainString) !== undefined || take(quotedName) !== undefined) continue;
    index += 1;
  }
  endStatement();
  return all;
}

/** CREATE [OR REPLACE] FUNCTION | PROCEDURE */
function definesRoutine(words: readonly string[]): boolean {
  if (words[0] !== "CREATE") return false;
  const what = words[1] === "OR" && words[2] === "REPLACE" ? words[3] : words[1];
  return what === "FUNCTION" || what === "PROCEDURE";
}

function bodyStep(keyword: string, depth: number): number {
  if (keyword === "BEGIN") return 1;
  if (keyword === "CASE" && depth > 0) return 1;
  return keyword === "END" && depth > 0 ? -1 : 0;
}

/** Block comments nest in PostgreSQL. */
function endOfBlockComment(sql: string, from: number): number {
  const mark = /\/\*|\*\//g;
  mark.lastIndex = from;
  let depth = 0;
  for (let match = mark.exec(sql); match !== null; match = mark.exec(sql)) {
    depth += match[0] === "/*" ? 1 : -1;
    if (depth === 0) return mark.lastIndex;
  }
  return sql.length;
}
