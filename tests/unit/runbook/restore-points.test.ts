import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { z } from "zod";
import { OpsError } from "../../../src/core/errors.ts";
import { defineOperation, type Operation } from "../../../src/run/operation.ts";
import type { MadeRestorePoint, RestorePointMaker } from "../../../src/run/restore-point.ts";
import { SqliteJournal } from "../../../src/run/sqlite-journal.ts";
import { type RunOutcome, resumeRun, startRun } from "../../../src/runbook/engine.ts";
import type { ExecutionEnvironment } from "../../../src/runbook/execution.ts";
import { parseRunbook } from "../../../src/runbook/parse.ts";
import { type Plan, planRunbook } from "../../../src/runbook/plan.ts";
import { restorePointName } from "../../../src/runbook/restore-points.ts";
import type { Runbook } from "../../../src/runbook/runbook.ts";
import { testContext } from "../../support/context.ts";
import { failure, HeldClock } from "../../support/journal-contract.ts";

const settings = {
  databases: {
    main: { url: "postgres://localhost/main", pitr: { store: "local" } },
    careless: { url: "postgres://localhost/careless", pitr: { store: "local", "restore-points": "never" } },
    plain: { url: "postgres://localhost/plain" },
  },
  stores: {
    local: {
      url: "file:backups",
      recipients: ["age1ah5fmw7kqm6ywqpkltc4d3y7fk9ktk2ywcwjl83e9cgqkz3ysfesnr7mva"],
    },
  },
};

/** What happened, in order. */
let done: string[];
let archived: boolean;
let folder: string;
let clock: HeldClock;
let journal: SqliteJournal;
let behaviour: { make?: () => void; apply?: () => void };

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "ops-points-"));
  clock = new HeldClock();
  journal = SqliteJournal.open(folder, clock, { host: "another-machine", pid: 1, pidStartedAt: null });
  [done, archived, behaviour] = [[], true, {}];
});

afterEach(async () => {
  await journal.close();
  await rm(folder, { recursive: true, force: true });
});

const maker: RestorePointMaker = {
  isArchived: async () => archived,
  make: async (_, database, name): Promise<MadeRestorePoint> => {
    behaviour.make?.();
    done.push(`point of ${database}`);
    return { database, name, lsn: "0/3000148", madeAt: "2026-11-21T14:31:59.000Z" };
  },
};

function operation(verb: string, change: Pick<Operation, "effect"> & { restorePoint?: true }): Operation {
  return defineOperation({
    name: `table.${verb}`,
    summary: verb,
    example: `table ${verb}`,
    ...change,
    input: z.strictObject({ database: z.string(), nothing: z.boolean().default(false) }),
    output: z.null(),
    targets: ({ database }) => [`database:${database}`, "route:web"],
    observe: async () => ({}),
    plan: (_, { database, nothing }) =>
      nothing ? [] : [{ target: `database:${database}`, action: "run", summary: verb }],
    apply: async () => {
      done.push(verb);
      behaviour.apply?.();
      return null;
    },
  });
}

const operations = [
  operation("drop", { effect: "destroy" }),
  operation("migrate", { effect: "change", restorePoint: true }),
  operation("touch", { effect: "change" }),
];

function surroundings(): ExecutionEnvironment {
  const context = { ...testContext(settings, { restorePoints: maker }), clock };
  const silent = () => undefined;
  return {
    journal,
    environment: context.environment,
    context,
    listener: { entry: silent, progress: silent, log: silent, note: silent },
    stop: new AbortController().signal,
    abort: new AbortController().signal,
  };
}

async function start(
  text: string,
  withoutRestorePoints?: true,
): Promise<RunOutcome & { readonly runbook: Runbook; readonly plan: Plan }> {
  const runbook = await parseRunbook("r.yaml", text, {
    find: async (name) => operations.find((each) => each.name === name),
    names: async () => operations.map((each) => each.name),
  });
  const { context, environment } = surroundings();
  const plan = await planRunbook({
    runbook,
    environment,
    inputs: {},
    variables: {},
    unselected: new Set(),
    withoutRestorePoints,
    context: testContext(settings, { restorePoints: maker }),
  });
  const details = { variables: {}, unselected: new Set<string>(), withoutRestorePoints, version: "0" };
  return { ...(await startRun({ ...surroundings(), context }, runbook, plan, details)), runbook, plan };
}

const step = (verb: string, database = "main", more = "") =>
  `name: r\nsteps:\n  - id: a\n    uses: table.${verb}\n    with: { database: ${database}${more} }\n`;

it.each([
  ["what destroys", step("drop"), ["point of main", "drop"]],
  ["what asks for it", step("migrate"), ["point of main", "migrate"]],
  ["a change that is taken back by itself", step("touch"), ["touch"]],
  ["a database without an archive", step("drop", "plain"), ["drop"]],
  ["a database whose configuration says never", step("drop", "careless"), ["drop"]],
  ["a step with nothing to change", step("migrate", "main", ", nothing: true"), ["migrate"]],
])("%s: %s", async (_, text, expected) => {
  const { exitCode, plan } = await start(text);

  expect(exitCode).toBe(0);
  expect(done).toEqual(expected);
  expect(plan.steps[0]?.restorePoints).toEqual(expected.length === 2 ? ["main"] : []);
});

it("is journaled with its position and its name, which follows from the run and the step", async () => {
  const { state } = await start(step("drop"));

  expect(state.steps.get("a")?.restorePoints).toEqual([
    {
      database: "main",
      name: `before-${state.id}-a`,
      lsn: "0/3000148",
      madeAt: "2026-11-21T14:31:59.000Z",
    },
  ]);
});

it("is not made where the server does not archive, and the plan says so", async () => {
  archived = false;

  const { plan } = await start(step("drop"));

  expect(done).toEqual(["drop"]);
  expect(plan.steps[0]?.notes).toEqual(["no restore point of main: its cluster does not archive its WAL"]);
});

it("is not made again by a retry or a resume", async () => {
  behaviour.apply = () => {
    if (done.filter((each) => each === "drop").length < 3) throw new OpsError("E_BROKEN", "broken");
  };
  const { runbook, state, exitCode } = await start(
    `${step("drop")}    retry: { attempts: 2, backoff: 1ms }\n`,
  );
  const resumed = await resumeRun(surroundings(), runbook, state);

  expect([exitCode, resumed.exitCode]).toEqual([1, 0]);
  expect(done).toEqual(["point of main", "drop", "drop", "drop"]);
});

it("failing to make it ends the run before anything is changed; a resume makes it", async () => {
  behaviour.make = () => {
    throw new OpsError("E_STORE_FAILED", "the store is down");
  };
  const { runbook, state, exitCode } = await start(step("drop"));
  expect(exitCode).toBe(1);
  expect(done).toEqual([]);
  expect(state.error).toMatchObject({ code: "E_RESTORE_POINT", cause: "the store is down" });
  expect(state.error?.hint).toContain("--no-restore-point");

  behaviour.make = () => undefined;
  await resumeRun(surroundings(), runbook, state);
  expect(done).toEqual(["point of main", "drop"]);
});

it("a resume may go on without one, and so may every later resume", async () => {
  behaviour.make = () => {
    throw new OpsError("E_STORE_FAILED", "the store is down");
  };
  behaviour.apply = () => {
    throw new OpsError("E_BROKEN", "broken");
  };
  const { runbook, state } = await start(step("drop"));
  const second = await resumeRun(surroundings(), runbook, state, true);
  behaviour.apply = () => undefined;
  const third = await resumeRun(surroundings(), runbook, second.state);

  expect(third.exitCode).toBe(0);
  expect(done).toEqual(["drop", "drop"]);
});

it("none is made where the run was started without", async () => {
  const { plan, state } = await start(step("drop"), true);

  expect(plan.steps[0]?.restorePoints).toEqual([]);
  expect(state.request.withoutRestorePoints).toBe(true);
  expect(done).toEqual(["drop"]);
});

it("the plan is refused where one is wanted and may not be made", async () => {
  const refused = { ...maker, isArchived: () => Promise.reject(new OpsError("E_RESTORE_POINT", "no right")) };
  const runbook = await parseRunbook("r.yaml", step("drop"), {
    find: async (name) => operations.find((each) => each.name === name),
    names: async () => [],
  });
  const context = testContext(settings, { restorePoints: refused });
  const { environment } = context;
  const request = { runbook, environment, inputs: {}, variables: {}, unselected: new Set<string>(), context };

  expect((await failure(planRunbook(request))).code).toBe("E_RESTORE_POINT");
});

it("a name is at most 63 bytes long and differs from step to step", () => {
  const long = "a-step-with-a-name-that-nobody-would-want-to-type-twice";
  const names = [long, `${long}-2`, "short"].map((each) => restorePointName("20261121-094512-k3x9", each));

  expect(names.map((each) => each.length)).toEqual([63, 63, 33]);
  expect(new Set(names).size).toBe(3);
});
