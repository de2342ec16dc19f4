import { describe, expect, it } from "vitest";
import type { JournalEntry, RunEvent } from "../../../src/run/events.ts";
import { isFinished, type RunStatus, runState } from "../../../src/run/run-state.ts";
import { runRequest } from "../../support/journal-contract.ts";

const error = { code: "E_X", message: "it broke", exitCode: 1 } as const;
const process = { pid: 1, host: "h" };
const created: RunEvent = { type: "run.created", data: { ...runRequest(), process } };
const resumed: RunEvent = { type: "run.resumed", data: { process, actor: "ada" } };
const rollback: RunEvent = { type: "run.rollback-started", data: { reason: "step a failed", error } };
const stuck: RunEvent = { type: "run.needs-person", data: { reason: "no way back" } };
const started: RunEvent = {
  type: "step.started",
  step: "a",
  data: { attempt: 1, input: { x: 1 }, targets: ["t"] },
};
const observed: RunEvent = { type: "step.observed", step: "a", data: { before: null, changes: [] } };
const applying: RunEvent = { type: "step.applying", step: "a" };
const checkpoint: RunEvent = { type: "step.checkpoint", step: "a", data: { at: 5 } };
const done: RunEvent = { type: "step.done", step: "a", data: { output: 7 } };
const failed: RunEvent = { type: "step.failed", step: "a", data: { error } };
const undoing: RunEvent = { type: "step.undoing", step: "a" };

function fold(...events: RunEvent[]) {
  const entries = [created, ...events].map(
    (event, index) =>
      ({ ...event, run: "r", sequence: index + 1, position: index + 1, at: `t${index + 1}` }) as JournalEntry,
  );
  const state = runState(entries);
  if (state === undefined) throw new Error("no state");
  return state;
}

describe("a run's status, from its entries", () => {
  const rows: [RunStatus, RunEvent[]][] = [
    ["running", []],
    ["done", [{ type: "run.done" }]],
    ["failed", [{ type: "run.failed", data: { error } }]],
    ["interrupted", [{ type: "run.interrupted" }]],
    ["running", [{ type: "run.interrupted" }, resumed]],
    ["running", [{ type: "run.failed", data: { error } }, resumed]],
    ["rolling-back", [rollback]],
    ["rolling-back", [rollback, { type: "run.interrupted" }]],
    ["rolling-back", [rollback, resumed]],
    ["rolled-back", [rollback, { type: "run.rolled-back" }]],
    ["needs-person", [rollback, stuck]],
    ["needs-person", [rollback, stuck, resumed]],
    ["rolled-back", [rollback, stuck, resumed, rollback, { type: "run.rolled-back" }]],
  ];

  it.each(rows)("%s", (status, events) => {
    expect(fold(...events).status).toBe(status);
  });

  it("keeps why it failed and why a person is needed", () => {
    expect(fold(rollback, stuck)).toMatchObject({ error, reason: "no way back" });
  });

  it("knows the newest entry", () => {
    expect(fold(started, observed)).toMatchObject({ createdAt: "t1", lastAt: "t3", lastSequence: 3 });
  });

  it("of no entries is undefined", () => {
    expect(runState([])).toBeUndefined();
  });

  it("is finished only where nothing goes on", () => {
    const all: RunStatus[] = [
      "running",
      "done",
      "failed",
      "interrupted",
      "rolling-back",
      "rolled-back",
      "needs-person",
    ];
    expect(all.filter(isFinished)).toEqual(["done", "rolled-back"]);
  });
});

describe("a step's state, from its entries", () => {
  const rows: [string, RunEvent[], object][] = [
    ["started", [started], { status: "running", attempt: 1, input: { x: 1 }, applied: false }],
    ["observed, also where it saw nothing", [started, observed], { before: { value: null }, applied: false }],
    ["about to take effect", [started, observed, applying], { applied: true, status: "running" }],
    ["at a checkpoint", [started, observed, applying, checkpoint], { checkpoint: { at: 5 } }],
    ["done", [started, observed, applying, done], { status: "done", output: 7, endedAt: "t5" }],
    ["failed", [started, failed], { status: "failed", error, endedAt: "t3" }],
    [
      "skipped",
      [{ type: "step.skipped", step: "a", data: { why: "not selected" } }],
      { status: "skipped", why: "not selected", applied: false },
    ],
    ["being undone", [started, observed, applying, done, undoing], { undo: { status: "running" } }],
    [
      "undone",
      [started, observed, applying, undoing, { type: "step.undone", step: "a", data: { undone: true } }],
      { undo: { status: "ended", undone: true } },
    ],
    [
      "not undone",
      [started, observed, applying, undoing, { type: "step.undo-failed", step: "a", data: { error } }],
      { undo: { status: "failed", error } },
    ],
  ];

  it.each(rows)("%s", (_, events, expected) => {
    expect(fold(...events).steps.get("a")).toMatchObject(expected);
  });

  it("forgets its last failure, not its checkpoint and what it saw, when it is tried again", () => {
    const again: RunEvent = {
      type: "step.started",
      step: "a",
      data: { attempt: 2, input: { x: 1 }, targets: ["t"] },
    };

    const step = fold(started, observed, applying, checkpoint, failed, again).steps.get("a");

    expect(step).toMatchObject({
      status: "running",
      attempt: 2,
      applied: true,
      checkpoint: { at: 5 },
      startedAt: "t2",
    });
    expect(step).toMatchObject({ before: { value: null } });
    expect(step).not.toHaveProperty("error");
    expect(step).not.toHaveProperty("endedAt");
  });
});
