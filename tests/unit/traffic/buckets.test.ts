import fc from "fast-check";
import { expect, test } from "vitest";
import { bucketNames, bucketWeights, dealt } from "../../../src/traffic/buckets.ts";

const versions = ["blue", "green", "amber"];
const names = bucketNames(1000);
const all = new Map(names.map((bucket) => [bucket, "blue"]));

/** Three numbers that add up to 1000. */
const split = fc
  .tuple(fc.nat(1000), fc.nat(1000))
  .map(([a, b]) => [Math.min(a, b), Math.abs(a - b), 1000 - Math.max(a, b)] as const)
  .map(([blue, green, amber]) => ({ blue, green, amber }));

test("any split follows any other exactly, and as few buckets as possible change hands", () => {
  fc.assert(
    fc.property(split, split, (first, second) => {
      const before = dealt(all, first);
      const after = dealt(before, second);

      expect(bucketWeights(after, versions)).toEqual(second);
      const moved = names.filter((bucket) => before.get(bucket) !== after.get(bucket)).length;
      const least = Object.entries(second).reduce(
        (total, [version, has]) => total + Math.max(0, has - first[version as keyof typeof first]),
        0,
      );
      expect(moved).toBe(least);
    }),
    { numRuns: 50 },
  );
});

test("who is first is not the same for another version", () => {
  const firsts = (version: string) => {
    const buckets = dealt(all, { blue: 900, green: 0, amber: 0, [version]: 100 });
    return names.filter((bucket) => buckets.get(bucket) === version);
  };
  const shared = firsts("green").filter((bucket) => firsts("amber").includes(bucket));

  expect(firsts("green")).toEqual(firsts("green"));
  expect(shared.length).toBeLessThan(30);
});
