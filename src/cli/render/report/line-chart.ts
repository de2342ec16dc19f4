import { heightOf, type Sample } from "../../../run/sample.ts";
import { type Html, html } from "./html.ts";

const [width, height] = [680, 170];
const margin = { left: 54, right: 12, top: 10, bottom: 24 };
const plot = { width: width - margin.left - margin.right, height: height - margin.top - margin.bottom };
/** Colours of the lines, in the order of their names: see the page's style. */
const colours = 6;

type Measure = Sample["measures"][number];

/** One chart for each measure of a step's samples, each line a curve, its limit a dashed line. */
export function lineCharts(samples: readonly Sample[]): Html[] {
  const names = new Set(samples.flatMap(({ measures }) => measures.map(({ name }) => name)));
  return [...names].map((name) => lineChart(name, samples));
}

function lineChart(name: string, samples: readonly Sample[]): Html {
  const points = samples.flatMap(({ at, measures }) => {
    const measure = measures.find((each) => each.name === name);
    return measure === undefined ? [] : [{ at: Date.parse(at), measure }];
  });
  const lines = [...new Set(points.flatMap(({ measure }) => Object.keys(measure.lines)))].sort();
  const newest = points.at(-1)?.measure;
  const limit = newest?.limit;
  const scale = newest?.scale;
  const most = Math.max(limit ?? 0, ...points.flatMap(({ measure }) => valuesOf(measure))) * 1.05 || 1;
  // The same time for all charts of a step, so that what stands above each other happened together.
  const [from, to] = [Date.parse(samples[0]?.at ?? ""), Date.parse(samples.at(-1)?.at ?? "")];
  const x = (at: number) => margin.left + (to === from ? 0.5 : (at - from) / (to - from)) * plot.width;
  const y = (value: number) => margin.top + (1 - Math.min(1, heightOf(value, most, scale))) * plot.height;
  const curves = lines.map((line, index) => {
    const stretches = continuous(
      points.map(({ at, measure }) => ({ at, value: measure.lines[line] ?? null })),
    );
    const colour = index % colours;
    return html`${stretches.map((stretch) => {
      const [only] = stretch;
      return stretch.length === 1 && only !== undefined
        ? html`<circle class="dot c${colour}" cx="${round(x(only.at))}" cy="${round(y(only.value))}" r="2"/>`
        : html`<polyline class="curve c${colour}" points="${stretch.map((each) => `${round(x(each.at))},${round(y(each.value))}`).join(" ")}"/>`;
    })}`;
  });
  const grid = ticks(most, scale).map(
    (value) =>
      html`<line class="grid" x1="${margin.left}" x2="${width - margin.right}" y1="${round(y(value))}" y2="${round(y(value))}"/><text class="tick" x="${margin.left - 6}" y="${round(y(value) + 4)}" text-anchor="end">${shown(value)}</text>`,
  );
  const times = [0, 0.25, 0.5, 0.75, 1].map((share) => {
    const at = from + share * (to - from);
    const anchor = share === 0 ? "start" : share === 1 ? "end" : "middle";
    return html`<text class="tick" x="${round(x(at))}" y="${height - 8}" text-anchor="${anchor}">${new Date(at).toISOString().slice(11, 19)}</text>`;
  });
  const limitLine =
    limit === undefined
      ? []
      : [
          html`<line class="limit" x1="${margin.left}" x2="${width - margin.right}" y1="${round(y(limit))}" y2="${round(y(limit))}"/><text class="limit-text" x="${width - margin.right}" y="${round(y(limit) + 13)}" text-anchor="end">limit ${shown(limit)}</text>`,
        ];
  const keys = lines.map((line, index) => {
    const last = points.findLast(({ measure }) => measure.lines[line] != null)?.measure.lines[line];
    return html`<span class="key"><i class="c${index % colours}"></i>${line}${last == null ? "" : html` <b>${shown(last)}</b>`}</span>`;
  });
  return html`<figure><figcaption>${name}${keys}</figcaption><svg viewBox="0 0 ${width} ${height}" role="img" aria-label="${name}">${grid}${times}${limitLine}${curves}</svg></figure>`;
}

function valuesOf({ lines }: Measure): number[] {
  return Object.values(lines).filter((each) => each !== null);
}

interface Point {
  readonly at: number;
  readonly value: number;
}

/** Without the places where nothing was measured. */
function continuous(points: readonly { readonly at: number; readonly value: number | null }[]): Point[][] {
  const stretches: Point[][] = [[]];
  for (const { at, value } of points) {
    if (value === null) stretches.push([]);
    else stretches.at(-1)?.push({ at, value });
  }
  return stretches.filter((each) => each.length > 0);
}

/** Round numbers from the bottom to the top: powers of ten on a logarithmic scale. */
function ticks(most: number, scale: "log" | undefined): number[] {
  if (scale === "log") {
    const powers = Array.from(
      { length: Math.floor(Math.log10(Math.max(1, most))) + 1 },
      (_, power) => 10 ** power,
    );
    const every = Math.ceil(powers.length / 5);
    return powers.filter((_, index) => index % every === 0);
  }
  const rough = most / 4;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((each) => each * power).find((each) => each >= rough) ?? rough;
  return Array.from({ length: Math.floor(most / step) + 1 }, (_, index) => index * step);
}

const round = (value: number) => Number(value.toFixed(1));

function shown(value: number): string {
  return String(Math.abs(value) >= 100 ? Math.round(value) : Number(value.toPrecision(2)));
}
