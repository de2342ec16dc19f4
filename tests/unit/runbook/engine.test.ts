import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { InterruptedError, OpsError } from "../../../src/core/errors.ts";
import { leaseDuration } from "../../../src/run/journal.ts";
import { runState } from "../../../src/run/run-state.ts";
import { SqliteJournal } from "../../../src/run/sqlite-journal.ts";
import { type RunOutcome, resumeRun, rollbackRun, startRun } from "../../../src/runbook/engine.ts";
import type { ExecutionEnvironment } from "../../../src/runbook/execution.ts";
import { planRunbook } from "../../../src/runbook/plan.ts";
import type { Runbook } from "../../../src/runbook/runbook.ts";
import { testContext } from "../../support/context.ts";
import { failure, HeldClock } from "../../support/journal-contract.ts";
import { FakeWorld } from "./fake-operations.ts";

let folder: string;
let clock: HeldClock;
let journal: SqliteJournal;
let world: FakeWorld;
let stop: AbortController;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "ops-engine-"));
  clock = new HeldClock();
  // As a process of another machine, of which only its lease can tell whether it still lives.
  journal = SqliteJournal.open(folder, clock, { host: "another-machine", pid: 1, pidStartedAt: null });
  world = new FakeWorld();
  stop = new AbortController();
});

afterEach(async () => {
  await journal.close();
  await rm(folder, { recursive: true, force: true });
});

function surroundings(): ExecutionEnvironment {
  const context = { ...testContext({}), clock };
  return {
    journal,
    environment: context.environment,
    context,
    listener: {
      entry: () => undefined,
      progress: () => undefined,
      log: () => undefined,
      note: () => undefined,
    },
    stop: stop.signal,
    abort: new AbortController().signal,
  };
}

async function start(
  text: string,
  change: () => void = () => undefined,
): Promise<RunOutcome & { runbook: Runbook }> {
  const runbook = await world.runbook(text);
  const { context, environment } = surroundings();
  const plan = await planRunbook({
    runbook,
    environment,
    inputs: {},
    variables: {},
    unselected: new Set(),
    context: testContext({}),
  });
  change();
  const details = { variables: {}, unselected: new Set<string>(), version: "0" };
  const outcome = await startRun({ ...surroundings(), context }, runbook, plan, details);
  return { ...outcome, runbook };
}

async function events(id: string): Promise<string[]> {
  return (await journal.entries(id)).map((entry) =>
    "step" in entry ? `${entry.step} ${entry.type}` : entry.type,
  );
}

const broken = (code: `E_${string}` = "E_BROKEN", retryable = true) =>
  new OpsError(code, "it broke", { retryable });

const set = (key: string, more = "") => `  - { id: ${key}, uses: value.set, with: { key: ${key} }${more} }\n`;
const runbookOf = (...steps: string[]) => `name: r\nsteps:\n${steps.join("")}`;

describe("a run that goes well", () => {
  it("journals each step before, between and after its effect", async () => {
    const { state, exitCode } = await start(runbookOf(set("a")));

    expect(exitCode).toBe(0);
    expect(await events(state.id)).toEqual([
      "run.created",
      "a step.started",
      "a step.observed",
      "a step.applying",
      "a step.done",
      "run.done",
    ]);
    expect(await journal.holder(state.id)).toBeUndefined();
  });

  it("has what it saw in the journal before it changes anything", async () => {
    world.values.set("a", "old");
    let seen: unknown;
    world.behaviours.set("a", {
      apply: async () => {
        const [id = ""] = await journal.runs();
        seen = runState(await journal.entries(id))?.steps.get("a")?.before;
      },
    });

    await start(runbookOf(set("a")));

    expect(seen).toEqual({ value: { was: "old" } });
  });

  it("hands the output of one step to the next", async () => {
    world.values.set("a", "old");

    await start(
      runbookOf(
        "  - { id: look, uses: value.get, with: { key: a } }\n",
        `  - { id: b, uses: value.set, with: { key: b, to: "was \${{ steps.look.output.value }}" } }\n`,
      ),
    );

    expect(world.values.get("b")).toBe("was old");
  });

  it("skips a step whose condition is false, and says why", async () => {
    const { state } = await start(
      runbookOf(set("a"), set("b", ', if: "steps.a.output.was == \\"x\\""'), set("c", ", if: false")),
    );

    expect(state.status).toBe("done");
    expect(state.steps.get("b")).toMatchObject({ status: "skipped" });
    expect(state.steps.get("b")?.why).toMatch(/is false/);
    expect(world.done).toEqual(["apply a"]);
  });

  it("runs the steps of a group at the same time", async () => {
    let arrived = 0;
    const { promise: both, resolve } = Promise.withResolvers<void>();
    const meet = async () => {
      arrived += 1;
      if (arrived === 2) resolve();
      await both;
    };
    for (const key of ["a", "b"]) world.behaviours.set(key, { apply: meet });

    const { exitCode } = await start(
      "name: r\nsteps:\n  - parallel:\n" +
        ["a", "b"].map((key) => `      - { id: ${key}, uses: value.set, with: { key: ${key} } }\n`).join(""),
    );

    expect(exitCode).toBe(0);
  });
});

describe("a step that fails", () => {
  it("is tried again as often as retry says, with doubling pauses", async () => {
    let tries = 0;
    world.behaviours.set("a", {
      apply: async () => {
        tries += 1;
        if (tries < 3) throw broken();
      },
    });

    const { state, exitCode } = await start(runbookOf(set("a", ", retry: { attempts: 3, backoff: 10s }")));

    expect([exitCode, tries, state.steps.get("a")?.attempt]).toEqual([0, 3, 3]);
    const pauses = (await journal.entries(state.id)).flatMap((entry) =>
      entry.type === "step.failed" ? [entry.data.retryInMs ?? 0] : [],
    );
    expect(pauses[0]).toBeGreaterThanOrEqual(10_000);
    expect(pauses[0]).toBeLessThanOrEqual(12_500);
    expect(pauses[1]).toBeGreaterThanOrEqual(20_000);
  });

  it.each([
    ["E_LOCK_TIMEOUT", 2],
    ["E_OTHER", 1],
  ] as const)("with %s under on: [lock_timeout] is tried %d times", async (code, expected) => {
    let tries = 0;
    world.behaviours.set("a", {
      apply: async () => {
        tries += 1;
        throw broken(code);
      },
    });

    await start(runbookOf(set("a", ", retry: { attempts: 2, on: [lock_timeout] }")));

    expect(tries).toBe(expected);
  });

  it("in a way that trying again cannot mend is not tried again", async () => {
    world.behaviours.set("a", { apply: () => Promise.reject(broken("E_BAD", false)) });

    const { state } = await start(runbookOf(set("a", ", retry: { attempts: 5 }")));

    expect(state.steps.get("a")?.attempt).toBe(1);
  });

  it("ends at its timeout", async () => {
    world.behaviours.set("a", {
      apply: ({ signal }) =>
        new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason))),
    });

    const { state, exitCode } = await start(runbookOf(set("a", ", timeout: 20ms")));

    expect(exitCode).toBe(1);
    expect(state.error).toMatchObject({ code: "E_STEP_TIMEOUT" });
  });

  it("stops the run where it stands by default", async () => {
    world.behaviours.set("b", { apply: () => Promise.reject(broken()) });

    const { state, exitCode } = await start(runbookOf(set("a"), set("b"), set("c")));

    expect([state.status, exitCode]).toEqual(["failed", 1]);
    expect(world.done).toEqual(["apply a", "apply b"]);
  });

  it("lets the run go on under on-failure: continue", async () => {
    world.behaviours.set("a", { apply: () => Promise.reject(broken()) });

    const { state } = await start(runbookOf(set("a", ", on-failure: continue"), set("b")));

    expect(state.status).toBe("done");
    expect(world.done).toEqual(["apply a", "apply b"]);
  });

  it("takes everything back, newest first, under on-failure: rollback: exit code 4", async () => {
    world.values.set("a", "old");
    world.behaviours.set("c", { apply: () => Promise.reject(broken()) });

    const { state, exitCode } = await start(
      runbookOf(set("a"), set("b"), set("c", ", on-failure: rollback"), set("d")),
    );

    expect([state.status, exitCode]).toEqual(["rolled-back", 4]);
    expect(world.done).toEqual(["apply a", "apply b", "apply c", "undo c", "undo b", "undo a"]);
    expect([...world.values]).toEqual([["a", "old"]]);
  });
});

describe("a roll-back", () => {
  const failing = (...steps: string[]) => {
    world.behaviours.set("bad", { apply: () => Promise.reject(broken()) });
    return start(`name: r\non-failure: rollback\nsteps:\n${steps.join("")}${set("bad")}`);
  };

  it("keeps what the runbook says to keep", async () => {
    const { state, exitCode } = await failing(set("a", ", undo: skip"));

    expect(exitCode).toBe(4);
    expect(world.done).not.toContain("undo a");
    expect(state.steps.get("a")?.undo).toMatchObject({ undone: "kept" });
  });

  it("past a step without a way back takes back the others and needs a person: exit code 5", async () => {
    const { state, exitCode } = await failing(
      set("a"),
      "  - { id: x, uses: value.drop, with: { key: x } }\n",
    );

    expect([state.status, exitCode]).toEqual(["needs-person", 5]);
    expect(state.reason).toMatch(/no way back for x/);
    expect(world.done).toContain("undo a");
  });

  it("stops where an undo fails, and goes on from there when it is asked again", async () => {
    let mended = false;
    world.behaviours.set("b", {
      undo: async () => {
        if (!mended) throw broken("E_STILL", false);
        return { undone: true };
      },
    });
    const { state, exitCode, runbook } = await failing(set("a"), set("b"));
    expect([state.status, exitCode]).toEqual(["needs-person", 5]);
    expect(world.done).not.toContain("undo a");

    mended = true;
    const again = await rollbackRun(surroundings(), runbook, state);

    expect([again.state.status, again.exitCode]).toEqual(["rolled-back", 0]);
    expect(world.values.size).toBe(0);
    expect(world.done.filter((each) => each === "undo bad")).toHaveLength(1);
  });

  it("of a run that is done is possible, and doing it twice changes nothing more", async () => {
    const { state, runbook } = await start(runbookOf(set("a")));

    const first = await rollbackRun(surroundings(), runbook, state);
    const second = await rollbackRun(surroundings(), runbook, first.state);

    expect([first.exitCode, second.exitCode]).toEqual([0, 0]);
    expect(world.done).toEqual(["apply a", "undo a"]);
  });

  it("makes a later resume an error", async () => {
    const { state, runbook } = await start(runbookOf(set("a")));
    const back = await rollbackRun(surroundings(), runbook, state);

    const refused = await failure(resumeRun(surroundings(), runbook, back.state));
    expect(refused).toMatchObject({ code: "E_RUN_FINISHED", exitCode: 2 });
  });
});

describe("an interrupted run", () => {
  it("ends at a safe point with 130 and is resumed from its last checkpoint", async () => {
    const starts: unknown[] = [];
    world.behaviours.set("b", {
      apply: async (context, _, report) => {
        starts.push(report.last);
        await report.checkpoint({ at: 5 });
        if (starts.length === 1) stop.abort(new InterruptedError());
        context.safePoint();
      },
    });
    const { state, exitCode, runbook } = await start(runbookOf(set("a"), set("b"), set("c")));
    expect([state.status, exitCode]).toEqual(["interrupted", 130]);
    expect(await journal.holder(state.id)).toBeUndefined();

    stop = new AbortController();
    const resumed = await resumeRun(surroundings(), runbook, state);

    expect([resumed.state.status, resumed.exitCode]).toEqual(["done", 0]);
    expect(starts).toEqual([undefined, { at: 5 }]);
    expect(world.done).toEqual(["apply a", "apply b", "apply b", "apply c"]);
  });
});

describe("a run that must not go on", () => {
  it("finds the world other than it was planned: E_PLAN_CHANGED, nothing applied", async () => {
    const { state, exitCode } = await start(runbookOf(set("a")), () => world.values.set("a", "meanwhile"));

    expect(exitCode).toBe(1);
    expect(state.error).toMatchObject({ code: "E_PLAN_CHANGED" });
    expect(world.done).toEqual([]);
  });

  it("is not stopped where somebody has done a part of what was planned since", async () => {
    const { state, exitCode } = await start(runbookOf(set("a")), () => world.values.set("a", "new"));

    expect([state.status, exitCode]).toEqual(["done", 0]);
    expect(world.values.get("a")).toBe("new");
  });

  it("is not stopped by a change that an earlier step of its own made", async () => {
    const twice = "  - { id: again, uses: value.set, with: { key: a, to: newer } }\n";

    const { exitCode } = await start(runbookOf(set("a"), twice));

    expect(exitCode).toBe(0);
    expect(world.values.get("a")).toBe("newer");
  });

  it("was overtaken by another run on the same targets: E_RUN_SUPERSEDED", async () => {
    world.behaviours.set("b", { apply: () => Promise.reject(broken()) });
    const first = await start(runbookOf(set("a"), set("b")));
    clock.move(1000);
    await start("name: other\nsteps:\n  - { id: a, uses: value.set, with: { key: a, to: other } }\n");

    for (const go of [resumeRun, rollbackRun]) {
      const refused = await failure(go(surroundings(), first.runbook, first.state));
      expect(refused).toMatchObject({ code: "E_RUN_SUPERSEDED", exitCode: 2 });
    }
    expect(world.values.get("a")).toBe("other");
  });

  it("finds its target held by another run: exit code 6, nothing applied", async () => {
    const blocked: unknown[] = [];
    world.behaviours.set("a", {
      apply: async () => {
        if (blocked.length > 0) return;
        blocked.push(1);
        blocked[0] = await failure(start(runbookOf(set("a"))));
      },
    });

    await start(runbookOf(set("a")));

    expect(blocked[0]).toMatchObject({ code: "E_LOCK_HELD", exitCode: 6 });
    expect(world.done).toEqual(["apply a"]);
  });

  it("has lost its lease: it writes nothing more and leaves the run to its new holder", async () => {
    world.behaviours.set("a", {
      apply: async () => {
        clock.move(leaseDuration + 1);
        const [id = ""] = await journal.runs();
        await journal.reopen(id, ["test/value:a"]);
      },
    });

    const refused = await failure(start(runbookOf(set("a"), set("b"))));

    expect(refused.code).toBe("E_LOCK_LOST");
    const [id = ""] = await journal.runs();
    expect((await events(id)).at(-1)).toBe("a step.applying");
    expect(world.done).toEqual(["apply a"]);
  });
});
