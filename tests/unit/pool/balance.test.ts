import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { balancedWeights } from "../../../src/pool/balance.ts";

const limits = { step: 0.2, tolerance: 0.1, minimum: 1, maximum: 256 };

describe("balanced weights", () => {
  test.each([
    ["a slow server loses at most a step", { a: 100, b: 100 }, { a: 1, b: 9 }, { a: 120, b: 80 }],
    ["loads within the tolerance change nothing", { a: 100, b: 100 }, { a: 10, b: 10.5 }, { a: 100, b: 100 }],
    ["an idle pool changes nothing", { a: 100, b: 100 }, { a: 0.1, b: 0 }, { a: 100, b: 100 }],
    ["small weights are written larger first", { a: 1, b: 1 }, { a: 1, b: 3 }, { a: 120, b: 80 }],
    [
      "a server that takes no requests keeps its weight",
      { a: 100, b: 100, c: 0 },
      { a: 2, b: 6 },
      { a: 120, b: 80, c: 0 },
    ],
    ["one server alone is even", { a: 100 }, { a: 50 }, { a: 100 }],
  ])("%s", (_, weights, loads, wanted) => {
    expect(balancedWeights(weights, loads as Record<string, number>, limits)).toEqual(wanted);
  });

  test("never take a server out, never leave the bounds, and never step further than allowed", () => {
    const server = fc.record({
      weight: fc.integer({ min: 100, max: 256 }),
      load: fc.float({ min: 0, max: 500, noNaN: true }),
    });
    fc.assert(
      fc.property(fc.array(server, { minLength: 2, maxLength: 6 }), (servers) => {
        const weights = Object.fromEntries(servers.map(({ weight }, index) => [`s${index}`, weight]));
        const loads = Object.fromEntries(servers.map(({ load }, index) => [`s${index}`, load]));
        for (const [name, weight] of Object.entries(balancedWeights(weights, loads, limits))) {
          const before = weights[name] ?? 0;
          expect(weight).toBeGreaterThanOrEqual(Math.floor(before * 0.8));
          expect(weight).toBeLessThanOrEqual(Math.min(256, Math.ceil(before * 1.2)));
        }
      }),
    );
  });
});
