import { Chalk } from "chalk";
import { expect, it } from "vitest";
import { renderSamples, sparkline } from "../../../src/cli/render/samples.ts";
import type { Sample } from "../../../src/run/sample.ts";

const plain = new Chalk({ level: 0 });

function sample(green: number | null, blue: number, evidence: number): Sample {
  return {
    at: "2026-11-21T14:31:59.000Z",
    measures: [
      { name: "requests/s", lines: { green, blue } },
      { name: "% bad", lines: { green: 0.5, blue: 0 } },
      { name: "e-value", scale: "log", limit: 100, lines: { errors: evidence } },
    ],
  };
}

it("draws each line's measures with their newest values, all lines of a measure on one scale", () => {
  const samples = [sample(10, 80, 0.5), sample(20, 80, 10), sample(null, 40, 150)];

  expect(renderSamples(samples, 80, plain)).toEqual([
    "green            ▂▂  20 requests/s ·          ███ 0.5% bad",
    "blue             ██▄ 40 requests/s ·          ▁▁▁ 0% bad",
    "errors           ▁▄█ 150 e-value, limit 100",
  ]);
});

it("leaves the curves out where there is no room, and takes no more columns than it has", () => {
  const narrow = renderSamples([sample(10, 80, 0)], 36, plain);

  expect(narrow[2]).toBe("errors  0 e-value, limit 100");
  for (const columns of [36, 60, 80, 120]) {
    for (const row of renderSamples([sample(10, 80, 0)], columns, plain)) {
      expect(row.length).toBeLessThanOrEqual(columns);
    }
  }
});

it("shows the least above zero, and a gap for none", () => {
  expect(sparkline([0, 0.001, null, 1], 4)).toBe("▁▂ █");
});
