import { expect, it } from "vitest";
import { chooseBase } from "../../../src/pitr/choose-base.ts";
import { parseLsn } from "../../../src/wal-archive/lsn.ts";
import { archive, at, base, now, segments } from "./archive.ts";

const histories = new Map([[2, [{ timeline: 1, until: parseLsn(at(4, 100)) }]]]);
const state = archive({ bases: [base(2, 5)], histories, wal: [...segments(1, 6), ...segments(4, 8, 2)] });
const point = { kind: "lsn", lsn: at(6), name: "before", timeline: 2 } as const;

it("a restore point is not looked for at its position on another timeline", () => {
  const chosen = chooseBase("main", state, { target: point, timeline: undefined, base: undefined, now });
  expect(chosen.line.timeline).toBe(2);

  expect(() => chooseBase("main", state, { target: point, timeline: 1, base: undefined, now })).toThrow(
    /it is on timeline 2/,
  );
});
