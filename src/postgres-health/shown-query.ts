import { redact } from "../core/redaction.ts";

const shownLength = 80;

/** The beginning of a statement, in one line, without what follows a password in it. */
export function shownQuery(query: string): string {
  const line = redact(query)
    .replaceAll(/(password\s+)'[^']*'?/gi, "$1***")
    .replaceAll(/\s+/g, " ")
    .trim();
  return line.length > shownLength ? `${line.slice(0, shownLength)}…` : line;
}
