import { expect, test } from "vitest";
import { LoadSamples } from "../../../src/load/load-samples.ts";

test("each sample of a load is journaled once, in order, and a long load has a coarser chart", () => {
  const [durationMs, intervalMs] = [3_600_000, 1000];
  const samples = new LoadSamples("shop", { durationMs, intervalMs }, [], new Date(0));
  const journaled: string[] = [];
  for (let at = 0; at < durationMs; at += intervalMs) {
    samples.add({ at, users: 1, requests: 10, bad: 0, p50: 1, p95: 2, p99: 3, mean: 1 });
    if (at % 10_000 === 0) journaled.push(...samples.take().map((each) => each.at));
  }
  journaled.push(...samples.take().map((each) => each.at));

  expect(journaled.length).toBe(240);
  expect(new Set(journaled).size).toBe(240);
  expect(journaled.toSorted()).toEqual(journaled);
});
