import { sqlTokens } from "./sql-tokens.ts";

/**
 * An SQL text with `\n` at the ends of its lines, except in strings, quoted names and dollar quotes: those are data, and
 * the file says which.
 */
export function withPlainLineEnds(sql: string): string {
  if (!sql.includes("\r\n")) return sql;
  let result = "";
  for (const { kind, text } of sqlTokens(sql)) {
    result += kind === "quoted" ? text : text.replaceAll("\r\n", "\n");
  }
  return result;
}

/** What two checkouts of one file have in common, whatever line ends git gives each: what checksums are made of. */
export function withoutLineEnds(sql: string): string {
  return sql.includes("\r\n") ? sql.replaceAll("\r\n", "\n") : sql;
}
