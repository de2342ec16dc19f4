import type { ChalkInstance } from "chalk";
import { heightOf, type Sample } from "../../run/sample.ts";

const levels = "▁▂▃▄▅▆▇█";
/** Characters of one sparkline. */
const [narrowest, widest] = [4, 12];

/** As many samples as can be drawn. */
export const samplesShown = widest;

interface Cell {
  /** Of each sample, 0–1, oldest first; null is a gap. */
  readonly heights: readonly (number | null)[];
  readonly text: string;
  readonly isAtLimit: boolean;
}

/**
 * The newest samples, oldest first: a row for each line (a version, a comparison), in it each of its measures as a
 * sparkline with its newest value. All lines of a measure share one scale; at its limit it is red.
 *
 * @param room columns that a row may take
 */
export function renderSamples(samples: readonly Sample[], room: number, color: ChalkInstance): string[] {
  const rows = rowsOf(samples);
  const margin = Math.max(0, ...[...rows.keys()].map((line) => line.length));
  const padding: number[] = [];
  for (const cells of rows.values()) {
    for (const [column, { text }] of cells.slice(0, -1).entries())
      padding[column] = Math.max(padding[column] ?? 0, text.length);
  }
  const textsOf = (cells: readonly Cell[]) =>
    cells.map(({ text }, column) => (column === cells.length - 1 ? text : text.padEnd(padding[column] ?? 0)));
  const width = Math.min(...[...rows.values()].map((cells) => sparkWidth(textsOf(cells), room - margin - 2)));
  return [...rows].map(([line, cells]) => {
    const texts = textsOf(cells);
    const shown = cells.map(({ heights, isAtLimit }, column) => {
      const spark = width === 0 ? "" : `${sparkline(heights, width)} `;
      const text = texts[column] ?? "";
      return isAtLimit ? color.red(spark + text) : color.cyan(spark) + text;
    });
    return `${line.padEnd(margin)}  ${shown.join(" · ")}`;
  });
}

/** A sign for each height of 0–1; `null` is a gap, and what is above 0 is seen. */
export function sparkline(heights: readonly (number | null)[], width: number): string {
  const signs = heights.slice(-width).map((height) => {
    if (height === null) return " ";
    if (height <= 0) return levels[0];
    return levels[Math.min(levels.length - 1, Math.max(1, Math.ceil(height * levels.length) - 1))];
  });
  return signs.join("").padStart(width);
}

function rowsOf(samples: readonly Sample[]): Map<string, Cell[]> {
  const rows = new Map<string, Cell[]>();
  for (const { name, limit, scale, lines } of samples.at(-1)?.measures ?? []) {
    const all = new Map(Object.keys(lines).map((line) => [line, valuesOf(samples, name, line)]));
    const most = Math.max(limit ?? 0, ...[...all.values()].flat().map((value) => value ?? 0));
    for (const [line, values] of all) {
      const value = values.findLast((each) => each !== null) ?? null;
      const number = value === null ? "no" : shownNumber(value);
      const against = limit === undefined ? "" : `, limit ${shownNumber(limit)}`;
      const cell = {
        heights: values.map((each) => (each === null ? null : heightOf(each, most, scale))),
        text: `${number}${name.startsWith("%") && value !== null ? "" : " "}${name}${against}`,
        isAtLimit: limit !== undefined && value !== null && value >= limit,
      };
      rows.set(line, [...(rows.get(line) ?? []), cell]);
    }
  }
  return rows;
}

/** Of each sparkline in a row; 0 where there is no room. */
function sparkWidth(texts: readonly string[], room: number): number {
  const taken = texts.reduce((sum, each) => sum + each.length + 1, 0) + 3 * (texts.length - 1);
  const width = Math.min(widest, Math.floor((room - taken) / texts.length));
  return width < narrowest ? 0 : width;
}

function valuesOf(samples: readonly Sample[], measure: string, line: string): (number | null)[] {
  return samples.map(({ measures }) => measures.find((each) => each.name === measure)?.lines[line] ?? null);
}

/** Two digits say enough. */
function shownNumber(value: number): string {
  return String(Math.abs(value) >= 100 ? Math.round(value) : Number(value.toPrecision(2)));
}
