import { Chalk } from "chalk";
import { describe, expect, it } from "vitest";
import { renderPlan } from "../../../src/cli/render/plan.ts";
import { Pace, renderProgress } from "../../../src/cli/render/progress.ts";
import { table } from "../../../src/cli/render/table.ts";
import type { Plan, PlannedStep } from "../../../src/runbook/plan.ts";

const plain = new Chalk({ level: 0 });

describe("a table", () => {
  it("aligns its columns by their widest cell and ends no line in spaces", () => {
    expect(
      table(
        ["ID", "STATE"],
        [
          ["r1", "done"],
          ["longer", ""],
        ],
      ).split("\n"),
    ).toEqual(["ID      STATE", "r1      done", "longer"]);
  });

  it("does not count colours as width", () => {
    const { red } = new Chalk({ level: 1 });

    const [, first = "", second = ""] = table(
      ["A", "B"],
      [
        [red("x"), "1"],
        ["yy", "2"],
      ],
    ).split("\n");

    expect(first.replace(red("x"), "x").indexOf("1")).toBe(second.indexOf("2"));
  });
});

describe("progress", () => {
  const half = { message: "dumping", done: 50 * 2 ** 20, total: 100 * 2 ** 20, unit: "bytes" } as const;

  it("with a total has a bar, a share, amounts and the time that is left", () => {
    const pace = new Pace();
    renderProgress({ ...half, done: 0 }, pace, 0);

    expect(renderProgress(half, pace, 10_000)).toBe(
      `dumping ${"█".repeat(12)}${"░".repeat(12)} 50% · 50.0 MiB of 100 MiB · 10s left`,
    );
  });

  it.each([
    [{ message: "waiting" }, "waiting"],
    [{ message: "copying", done: 7, unit: "rows" as const }, "copying · 7 rows"],
    [{ message: "copying", done: 7, total: 0 }, "copying · 7"],
    [
      { message: "baking", done: 1500, total: 3000, unit: "ms" as const },
      `baking ${"█".repeat(12)}${"░".repeat(12)} 50%`,
    ],
  ])("%j is %s", (progress, shown) => {
    expect(renderProgress(progress, new Pace(), 1)).toBe(shown);
  });

  it("tells the time left of each phase of a statement by the phase's own count", () => {
    const pace = new Pace();
    const scan = (done: number) => ({
      message: "building i: scan",
      done,
      total: 1000,
      unit: "blocks" as const,
    });
    const load = (done: number) => ({
      message: "building i: load",
      done,
      total: 9000,
      unit: "rows" as const,
    });
    expect(renderProgress(scan(100), pace, 0)).not.toContain("left");
    expect(renderProgress(scan(500), pace, 2000)).toMatch(/ · 500 of 1000 blocks · 2\.5s left$/);
    expect(renderProgress(load(2000), pace, 3000)).toMatch(/ 22% · 2000 of 9000 rows$/);
    expect(renderProgress(load(3000), pace, 4000)).toMatch(/ · 6\.0s left$/);
  });

  it("past its total stays at 100%, and at its beginning promises nothing", () => {
    expect(renderProgress({ message: "m", done: 12, total: 10 }, new Pace(), 9000)).toContain("100%");
    expect(renderProgress(half, new Pace(), 100)).not.toContain("left");
  });

  it("tells the time that is left by the piece of work under way, not by what came before it in its step", () => {
    const pace = new Pace();
    const hour = 3_600_000;
    const shown = (message: string, done: number, now: number) =>
      renderProgress({ message, done, total: 1000, unit: "bytes" }, pace, now).split(" · ")[2];

    shown("unpacking base", 0, 0);
    expect(shown("unpacking base", 999, hour)).toBe("3.6s left");
    expect(shown("replaying WAL", 100, hour)).toBeUndefined();
    expect(shown("replaying WAL", 200, hour + 60_000)).toBe("8m 00s left");
    // The same words from their beginning again: the next table, the next phase of an index.
    expect(shown("replaying WAL", 0, hour + 70_000)).toBeUndefined();
    expect(shown("replaying WAL", 500, hour + 80_000)).toBe("10s left");
    // Goes on where an earlier attempt has stopped.
    expect(renderProgress({ message: "copying", done: 900, total: 1000 }, pace, 2 * hour)).not.toContain(
      "left",
    );
    expect(renderProgress({ message: "copying", done: 950, total: 1000 }, pace, 2 * hour + 1000)).toContain(
      "1.0s left",
    );
  });
});

describe("a plan on paper", () => {
  const step = (change: Partial<PlannedStep>): PlannedStep => ({
    id: "a",
    name: undefined,
    uses: "value.set",
    effect: "change",
    state: "planned",
    why: undefined,
    changes: [],
    notes: [],
    restorePoints: [],
    undo: "automatic",
    ...change,
  });
  const plan = (...steps: PlannedStep[]): Plan => ({
    runbook: "deploy",
    environment: "production",
    inputs: { version: "2" },
    steps,
    targets: ["value:a"],
    digest: "sha256:abc",
  });
  const change = { target: "value:a", action: "update", summary: "set a", from: "1", to: "2" } as const;

  it("names every step, its changes with their values, the locks and the digest", () => {
    const text = renderPlan(plan(step({ changes: [change] })), plain);

    expect(text).toMatch(/deploy on production {2}version="2"/);
    expect(text).toMatch(/● a value\.set\n.*value:a set a.*1.*2/);
    expect(text).toMatch(/1 change, locks value:a/);
    expect(text).toContain("sha256:abc");
  });

  it.each([
    ["what destroys data", step({ effect: "destroy", undo: "no way back" }), /destroys data.*no way back/],
    [
      "what is known later",
      step({ state: "deferred", why: "known when b has run" }),
      /\? a[\s\S]*known when b has run/,
    ],
    ["what is skipped", step({ state: "skipped", why: "not selected" }), /○ a.*skipped, not selected/],
    ["what stays", step({ notes: ["= keep b: newest"] }), /= keep b: newest/],
    ["what a roll-back leaves", step({ undo: "skipped" }), /undo: skip/],
    ["what has nothing to do", step({}), /nothing to change/],
  ])("marks %s", (_, planned, expected) => {
    expect(renderPlan(plan(planned), plain)).toMatch(expected);
  });
});
