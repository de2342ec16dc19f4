import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { Environment } from "../../../src/config/environment.ts";
import { environmentSchema } from "../../../src/config/schema.ts";
import { OpsError } from "../../../src/core/errors.ts";
import { rememberSecret } from "../../../src/core/redaction.ts";
import { SqliteJournal } from "../../../src/run/sqlite-journal.ts";
import { type RunOutcome, resumeRun, rollbackRun, startRun } from "../../../src/runbook/engine.ts";
import type { ExecutionEnvironment } from "../../../src/runbook/execution.ts";
import { planRunbook } from "../../../src/runbook/plan.ts";
import type { Runbook } from "../../../src/runbook/runbook.ts";
import { unselectedSteps } from "../../../src/runbook/selection.ts";
import { testContext } from "../../support/context.ts";
import { failure } from "../../support/journal-contract.ts";
import { FakeWorld } from "./fake-operations.ts";

/** What happens between two runs, two processes, two configurations: where accidents live. */
let folder: string;
let journal: SqliteJournal;
let world: FakeWorld;
let settings: object;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "ops-seams-"));
  journal = SqliteJournal.open(folder, testContext({}).clock);
  world = new FakeWorld();
  settings = {};
});

afterEach(async () => {
  await journal.close();
  await rm(folder, { recursive: true, force: true });
});

function surroundings(): ExecutionEnvironment {
  const context = testContext(settings);
  const environment = new Environment("test", folder, environmentSchema.parse(settings));
  const quiet = () => undefined;
  return {
    journal,
    environment,
    context,
    listener: { entry: quiet, progress: quiet, log: quiet, note: quiet },
    stop: new AbortController().signal,
    abort: new AbortController().signal,
  };
}

async function start(text: string, skip: string[] = []): Promise<RunOutcome & { runbook: Runbook }> {
  const runbook = await world.runbook(text);
  const { environment } = surroundings();
  const context = testContext(settings);
  const unselected = unselectedSteps(runbook, { skip });
  const request = { runbook, environment, inputs: {}, variables: {}, unselected, context };
  const plan = await planRunbook(request);
  const outcome = await startRun(surroundings(), runbook, plan, { variables: {}, unselected, version: "0" });
  return { ...outcome, runbook };
}

const broken = () => new OpsError("E_BROKEN", "it broke", { retryable: false });
const late = (id: string) =>
  `{ id: ${id}, uses: value.set, with: { key: "\${{ steps.first.output.key + '-${id}' }}" } }`;
const first = "{ id: first, uses: value.set, with: { key: first } }";

describe("targets that become known on the way", () => {
  it("of two steps at the same time are all kept", async () => {
    // The lease of this process, as its next renewal finds it.
    world.behaviours.set("last", {
      apply: async () => {
        const database = new DatabaseSync(SqliteJournal.file(folder));
        leases.push(
          ...database
            .prepare("SELECT target FROM lease")
            .all()
            .map((row) => String(row.target)),
        );
        database.close();
      },
    });
    const leases: string[] = [];
    const { exitCode } = await start(
      `name: r\nsteps:\n  - ${first}\n  - parallel:\n      - ${late("a")}\n      - ${late("b")}\n  - { id: last, uses: value.set, with: { key: last } }\n`,
    );

    expect(exitCode).toBe(0);
    expect(leases).toEqual(expect.arrayContaining(["test/value:first-a", "test/value:first-b"]));
  });

  it("are locked again for a roll-back", async () => {
    const done = await start(`name: r\nsteps:\n  - ${first}\n  - ${late("a")}\n`);
    const holder = journal;
    const other = await holder.create("other", { ...done.state.request, targets: ["test/value:first-a"] });

    const refused = await failure(rollbackRun(surroundings(), done.runbook, done.state));
    await holder.release(other);

    expect(refused).toMatchObject({ code: "E_LOCK_HELD", exitCode: 6 });
    expect(world.values.get("first-a")).toBe("new");
  });
});

describe("another run on the same targets", () => {
  it("that was rolled back bars nothing", async () => {
    const older = await start("name: r\nsteps:\n  - { id: a, uses: value.set, with: { key: a, to: one } }\n");
    const later = await start("name: s\nsteps:\n  - { id: a, uses: value.set, with: { key: a, to: two } }\n");
    await rollbackRun(surroundings(), later.runbook, later.state);

    const { exitCode } = await rollbackRun(surroundings(), older.runbook, older.state);

    expect(exitCode).toBe(0);
    expect(world.values.has("a")).toBe(false);
  });
});

describe("a configuration that points elsewhere by now", () => {
  it("is refused before anything is put back there", async () => {
    settings = { databases: { main: { url: "postgresql://app@a.example/shop" } } };
    const { state, runbook } = await start(`name: r\nsteps:\n  - ${first}\n`);
    settings = { databases: { main: { url: "postgresql://app@b.example/shop" } } };

    const refused = await failure(rollbackRun(surroundings(), runbook, state));

    expect(refused).toMatchObject({ code: "E_TARGET_MOVED", exitCode: 2 });
    expect(refused.message).toContain("databases.main was a.example/shop and is b.example/shop");
    expect(world.values.get("first")).toBe("new");
  });
});

describe("a step without a way back", () => {
  it("can be accepted by a person, which ends the roll-back", async () => {
    world.behaviours.set("b", { apply: () => Promise.reject(broken()) });
    const { state, runbook, exitCode } = await start(
      `name: r\non-failure: rollback\nsteps:\n  - ${first}\n  - { id: x, uses: value.drop, with: { key: x } }\n  - { id: b, uses: value.set, with: { key: b } }\n`,
    );
    expect([state.status, exitCode]).toEqual(["needs-person", 5]);

    const accepted = await rollbackRun(surroundings(), runbook, state, ["x"]);

    expect([accepted.state.status, accepted.exitCode]).toEqual(["rolled-back", 0]);
    expect(accepted.state.steps.get("x")?.undo).toMatchObject({
      undone: "kept",
      note: "accepted by test@localhost",
    });
  });
});

describe("a resume", () => {
  it("does not run again what failed and was gone past", async () => {
    world.behaviours.set("a", { apply: () => Promise.reject(broken()) });
    world.behaviours.set("c", { apply: () => Promise.reject(broken()) });
    const { state, runbook } = await start(
      "name: r\nsteps:\n  - { id: a, uses: value.set, on-failure: continue, with: { key: a } }\n  - { id: c, uses: value.set, with: { key: c } }\n",
    );
    world.behaviours.delete("c");

    const resumed = await resumeRun(surroundings(), runbook, state);

    expect(resumed.exitCode).toBe(0);
    expect(world.done).toEqual(["apply a", "apply c", "apply c"]);
  });
});

describe("a password that is an ordinary word", () => {
  it("changes nothing that a run works with", async () => {
    rememberSecret("main");
    world.values.set("a", "the main thing");
    const { state, runbook, exitCode } = await start(
      "name: r\nsteps:\n  - { id: a, uses: value.set, with: { key: a, to: main } }\n",
    );

    expect(exitCode).toBe(0);
    expect(world.values.get("a")).toBe("main");
    await rollbackRun(surroundings(), runbook, state);
    expect(world.values.get("a")).toBe("the main thing");
  });
});

describe("a selection", () => {
  it("that leaves out what a later step needs is refused before anything runs", async () => {
    const refused = await failure(start(`name: r\nsteps:\n  - ${first}\n  - ${late("a")}\n`, ["first"]));

    expect(refused).toMatchObject({ code: "E_STEP_NEEDED", exitCode: 2 });
    expect(refused.message).toBe("Step a needs the result of step first, which is left out");
    expect(world.done).toEqual([]);
  });

  it("of nothing is refused", async () => {
    expect(await failure(start(`name: r\nsteps:\n  - ${first}\n`, ["first"]))).toMatchObject({
      code: "E_STEP_UNKNOWN",
    });
  });
});
