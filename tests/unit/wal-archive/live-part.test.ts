import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { liveChainOf } from "../../../src/wal-archive/live-part.ts";

const segment = "0000000200000000000000A1";
const part = ([from, to]: readonly [number, number]) => ({ object: `${from}-${to}`, segment, from, to });
const chain = (...parts: readonly (readonly [number, number])[]) => liveChainOf(parts.map(part));

describe("live parts of a segment", () => {
  it("follow each other from the beginning on", () => {
    expect(chain([0, 10], [10, 25], [25, 26]).bytes).toBe(26);
    expect(chain().bytes).toBe(0);
    expect(chain([5, 10]).bytes).toBe(0);
  });

  it("end where one is missing", () => {
    expect(chain([0, 10], [11, 25]).bytes).toBe(10);
  });

  it("may overlap, after a receiver began its segment anew", () => {
    const { bytes, parts } = chain([0, 10], [10, 20], [0, 15], [15, 40], [20, 30]);

    expect(bytes).toBe(40);
    expect(parts.map((each) => each.object)).toEqual(["0-15", "15-40"]);
  });

  it("reach as far as any order of them does, without a hole", () => {
    const length = fc.integer({ min: 1, max: 20 });
    const ranges = fc.array(fc.tuple(fc.integer({ min: 0, max: 60 }), length), { maxLength: 12 });
    fc.assert(
      fc.property(ranges, (found) => {
        const parts = found.map(([from, bytes]) => [from, from + bytes] as const);
        const covered = (at: number) => parts.some(([from, to]) => from <= at && at < to);
        let expected = 0;
        while (covered(expected)) expected += 1;

        const result = chain(...parts);

        expect(result.bytes).toBe(expected);
        let at = 0;
        for (const each of result.parts) {
          expect(each.from).toBeLessThanOrEqual(at);
          at = each.to;
        }
        expect(at).toBe(expected);
      }),
    );
  });
});
