import { stripVTControlCharacters } from "node:util";

/** Lines of aligned cells; the columns of these numbers to the right. Colours do not count as width. */
export function columns(rows: readonly (readonly string[])[], right: ReadonlySet<number>): string[] {
  const width = (text: string) => [...stripVTControlCharacters(text)].length;
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => width(row[column] ?? ""))));
  return rows.map((row) =>
    row
      .map((cell, column) => {
        const space = " ".repeat(Math.max(0, (widths[column] ?? 0) - width(cell)));
        return right.has(column) ? space + cell : cell + space;
      })
      .join("  ")
      .trimEnd(),
  );
}
