import type { ChalkInstance } from "chalk";
import type { Standing } from "../../run/operation.ts";
import { heightOf } from "../../run/sample.ts";
import { sparkline } from "./samples.ts";

const signs = { pass: "✓", warn: "!", fail: "✗", unknown: "?" } as const;
/** Characters of a sparkline. */
const widest = 12;

/**
 * A line for each: its sign, its name, its newest values as a sparkline, what is said of it; cut to the room there is.
 *
 * @param room columns that a line may take
 */
export function renderStandings(
  standings: readonly Standing[],
  room: number,
  color: ChalkInstance,
): string[] {
  const width = Math.max(0, ...standings.map(({ name }) => name.length));
  const spark = Math.min(widest, Math.max(0, ...standings.map(({ values }) => values.length)));
  return standings.map(({ name, status, text, values }) => {
    const most = Math.max(0, ...values.map((value) => value ?? 0));
    const heights = values.map((value) => (value === null ? null : heightOf(value, most, undefined)));
    const drawn =
      spark === 0 ? "" : `${values.length === 0 ? " ".repeat(spark) : sparkline(heights, spark)}  `;
    const paint = { pass: color.green, warn: color.yellow, fail: color.red, unknown: color.yellow }[status];
    const left = Math.max(10, room - width - drawn.length - 4);
    const said = text.length > left ? `${text.slice(0, left - 1)}…` : text;
    return `${paint(signs[status])} ${name.padEnd(width)}  ${color.cyan(drawn)}${said}`;
  });
}
