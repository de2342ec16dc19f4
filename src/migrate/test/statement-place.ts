import { placeOfIndex } from "../sql-position.ts";
import type { Statement } from "../statements.ts";

const lead = /^(?:\s+|--[^\n]*(?:\n|$)|\/\*[\s\S]*?\*\/)*/;
const shownLength = 200;

/** The line of its first word, behind the comments before it. */
export function lineOf(sql: string, { text, start }: Statement): number {
  return placeOfIndex(sql, start + (lead.exec(text)?.[0].length ?? 0)).position.line;
}

/** Its beginning, without comments before it, on one line. */
export function oneLine(text: string): string {
  const line = text.replace(lead, "").replaceAll(/\s+/g, " ").trim();
  return line.length <= shownLength ? line : `${line.slice(0, shownLength - 1)}…`;
}
