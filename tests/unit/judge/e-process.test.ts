import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { EProcess, type Outcomes } from "../../../src/judge/e-process.ts";

const evidenceOf = (pairs: readonly (readonly [Outcomes, Outcomes])[], dispersion = 1) => {
  const process = new EProcess(dispersion);
  for (const [candidate, baseline] of pairs) process.add(candidate, baseline);
  return process.evidence;
};
const outcomes = fc
  .tuple(fc.integer({ min: 1, max: 5000 }), fc.nat(20))
  .map(([requests, bad]) => ({ requests, bad: Math.min(requests, bad) }));

describe("the e-process", () => {
  test("one bad request of the new version, at half of the traffic, weighs as the formula says", () => {
    const evidence = evidenceOf([
      [
        { requests: 100, bad: 1 },
        { requests: 100, bad: 0 },
      ],
    ]);

    const expected = [1.5, 2, 3, 5, 10, 20, 50].map((ratio) => (2 * ratio) / (ratio + 1));
    expect(evidence).toBeCloseTo(expected.reduce((a, b) => a + b, 0) / 7, 10);
  });

  test("is a fair bet: on average over where the next bad request falls, the evidence stays what it is", () => {
    fc.assert(
      fc.property(outcomes, outcomes, fc.double({ min: 0.01, max: 0.99, noNaN: true }), (a, b, share) => {
        const before = evidenceOf([[a, b]]);
        const requests = { requests: Math.round(1000 * share) + 1, bad: 0 };
        const others = { requests: 1001 - Math.round(1000 * share), bad: 0 };
        const actual = requests.requests / (requests.requests + others.requests);
        const mean =
          actual *
            evidenceOf([
              [a, b],
              [{ ...requests, bad: 1 }, others],
            ]) +
          (1 - actual) *
            evidenceOf([
              [a, b],
              [requests, { ...others, bad: 1 }],
            ]);

        expect(mean / before).toBeCloseTo(1, 8);
      }),
    );
  });

  test("no bad request, or only one version with traffic, says nothing", () => {
    fc.assert(
      fc.property(outcomes, outcomes, (a, b) => {
        expect(
          evidenceOf([
            [
              { ...a, bad: 0 },
              { ...b, bad: 0 },
            ],
          ]),
        ).toBe(1);
        expect(evidenceOf([[a, { requests: 0, bad: 0 }]])).toBe(1);
        expect(evidenceOf([[{ requests: 0, bad: 0 }, b]])).toBe(1);
      }),
    );
  });

  test("an error wave that hits both alike never becomes evidence", () => {
    const wave = Array.from({ length: 60 }, (): [Outcomes, Outcomes] => [
      { requests: 100, bad: 50 },
      { requests: 900, bad: 450 },
    ]);

    expect(evidenceOf(wave)).toBeLessThan(1);
  });

  test("goes on from a kept state as if it had never stopped", () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(outcomes, outcomes), { minLength: 1 }), fc.nat(), (pairs, at) => {
        const [first, second] = [pairs.slice(0, at % pairs.length), pairs.slice(at % pairs.length)];
        const stopped = new EProcess(2);
        for (const [a, b] of first) stopped.add(a, b);
        const resumed = new EProcess(2, 1, JSON.parse(JSON.stringify(stopped.state)));
        for (const [a, b] of second) resumed.add(a, b);

        expect(resumed.evidence).toBe(evidenceOf(pairs, 2));
      }),
    );
  });

  test("what is tolerated is no evidence: at that ratio the bet is fair, below it loses", () => {
    const [candidate, baseline] = [
      { requests: 500, bad: 0 },
      { requests: 500, bad: 0 },
    ];
    const mean = (ratio: number) => {
      const chance = ratio / (1 + ratio);
      const [hit, miss] = [new EProcess(1, 2), new EProcess(1, 2)];
      hit.add({ ...candidate, bad: 1 }, baseline);
      miss.add(candidate, { ...baseline, bad: 1 });
      return chance * hit.evidence + (1 - chance) * miss.evidence;
    };

    expect(mean(2)).toBeCloseTo(1, 10);
    expect(mean(1)).toBeLessThan(1);
    expect(mean(3)).toBeGreaterThan(1);
  });

  test("a dispersion divides what each bad request weighs", () => {
    const pair: [Outcomes, Outcomes] = [
      { requests: 100, bad: 8 },
      { requests: 900, bad: 9 },
    ];
    const tenth: [Outcomes, Outcomes] = [
      { requests: 100, bad: 0.8 },
      { requests: 900, bad: 0.9 },
    ];

    expect(evidenceOf([pair], 10)).toBeCloseTo(evidenceOf([tenth]), 10);
    expect(evidenceOf([pair], 0.1)).toBe(evidenceOf([pair]));
  });
});
