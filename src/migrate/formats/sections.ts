/** A part of a file, marked by comments; the lines around it are empty, so that its places are those of the file. */
export interface Section {
  readonly sql: string;
  /** The line that begins it; empty where the file begins with it. */
  readonly mark: string;
}

/**
 * Cuts a file at the lines that a pattern finds. `kind` names the section that such a line begins; the lines before
 * the first are `before`. The marks themselves stay, as the comments they are.
 */
export function cutSections(
  text: string,
  kind: (line: string) => string | undefined,
  before: string,
): ReadonlyMap<string, Section> {
  const lines = text.split("\n");
  const found = new Map<string, { from: number; to: number; mark: string }>();
  let current = { from: 0, to: lines.length, mark: "" };
  found.set(before, current);
  for (const [index, line] of lines.entries()) {
    const begins = kind(line);
    if (begins === undefined) continue;
    current.to = index;
    current = { from: index, to: lines.length, mark: line };
    found.set(begins, current);
  }
  return new Map(
    [...found].map(([name, { from, to, mark }]) => [
      name,
      { mark, sql: lines.map((line, index) => (index >= from && index < to ? line : "")).join("\n") },
    ]),
  );
}
