import type { ChalkInstance } from "chalk";
import type { Sample } from "../../run/sample.ts";

const levels = "▁▂▃▄▅▆▇█";
/** Characters of one sparkline. */
const [narrowest, widest] = [4, 12];

/** As many samples as can be drawn. */
export const samplesShown = widest;

interface Cell {
  readonly values: readonly (number | null)[];
  readonly text: string;
  readonly limit: number | undefined;
  /** What the sparkline's full height stands for. */
  readonly most: number;
}

/**
 * The newest samples, oldest first: a row for each line (a version, a comparison), in it each of its measures as a
 * sparkline with its newest value. All lines of a measure share one scale; at its limit it is red.
 *
 * @param columns that a row may take
 */
export function renderSamples(
  samples: readonly Sample[],
  columns: number,
  color: ChalkInstance,
): readonly string[] {
  const newest = samples.at(-1);
  if (newest === undefined) return [];
  const rows = new Map<string, Cell[]>();
  for (const { name, limit, lines } of newest.measures) {
    const all = new Map(Object.keys(lines).map((line) => [line, valuesOf(samples, name, line)]));
    const most = Math.max(limit ?? 0, ...[...all.values()].flat().map((value) => value ?? 0));
    for (const [line, values] of all) {
      const value = values.at(-1) ?? null;
      const against = limit === undefined ? "" : `, limit ${shownNumber(limit)}`;
      const text = `${value === null ? "no" : shownNumber(value)} ${name}${against}`;
      rows.set(line, [...(rows.get(line) ?? []), { values, text, limit, most }]);
    }
  }
  const margin = Math.max(...[...rows.keys()].map((line) => line.length));
  const width = sparkWidth([...rows.values()], columns - margin - 2);
  return [...rows].map(([line, cells]) => {
    const shown = cells.map(({ values, text, limit, most }) => {
      const last = values.at(-1) ?? 0;
      const isOver = limit !== undefined && last >= limit;
      const paint = isOver ? color.red : color.cyan;
      return `${paint(sparkline(values, most, width))}${width > 0 ? " " : ""}${isOver ? color.red(text) : text}`;
    });
    return `${line.padEnd(margin)}  ${shown.join(" · ")}`;
  });
}

/** `null` is a gap; every value above zero is seen. */
export function sparkline(values: readonly (number | null)[], most: number, width: number): string {
  if (width === 0) return "";
  const signs = values.slice(-width).map((value) => {
    if (value === null) return " ";
    if (most <= 0 || value <= 0) return levels[0];
    return levels[Math.min(levels.length - 1, Math.max(1, Math.ceil((value / most) * levels.length) - 1))];
  });
  return signs.join("").padStart(width);
}

/** The same for all of them; 0 where there is no room. */
function sparkWidth(rows: readonly (readonly Cell[])[], columns: number): number {
  const widths = rows.map((cells) => {
    const text = cells.reduce((sum, each) => sum + each.text.length + 1, 0) + 3 * (cells.length - 1);
    return Math.floor((columns - text) / cells.length);
  });
  const width = Math.min(widest, ...widths);
  return width < narrowest ? 0 : width;
}

function valuesOf(samples: readonly Sample[], measure: string, line: string): (number | null)[] {
  return samples.map(({ measures }) => measures.find((each) => each.name === measure)?.lines[line] ?? null);
}

/** Three digits say enough. */
function shownNumber(value: number): string {
  return String(Math.abs(value) >= 100 ? Math.round(value) : Number(value.toPrecision(2)));
}
