import { describe, expect, it } from "vitest";
import { OpsError } from "../../../src/core/errors.ts";
import { rememberSecret } from "../../../src/core/redaction.ts";
import { resolveInputs } from "../../../src/runbook/inputs.ts";
import { planRunbook, usedVariables } from "../../../src/runbook/plan.ts";
import { unselectedSteps } from "../../../src/runbook/selection.ts";
import { testContext } from "../../support/context.ts";
import { failure } from "../../support/journal-contract.ts";
import { FakeWorld } from "./fake-operations.ts";

const world = () => new FakeWorld();

function refusal(work: () => unknown): OpsError {
  try {
    work();
  } catch (error) {
    if (error instanceof OpsError) return error;
    throw error;
  }
  throw new Error("nothing was refused");
}

const text = `
name: deploy
inputs:
  version: { type: string, description: What to deploy }
  shards: { type: number, default: 2 }
  fast: { type: boolean, default: false }
  colour: { default: blue, options: [blue, green] }
locks: [route:web]
steps:
  - id: first
    uses: value.set
    with: { key: a, to: "\${{ inputs.version }}" }
  - parallel:
      - { id: left, uses: value.get, with: { key: a } }
      - { id: right, uses: value.set, with: { key: b } }
  - id: last
    uses: value.set
    timeout: 1m
    retry: { attempts: 3 }
    with: { key: c, to: "\${{ steps.left.output.value }}" }
`;

describe("a valid runbook", () => {
  it("is read with its defaults, stage by stage", async () => {
    const runbook = await world().runbook(text);

    expect(runbook).toMatchObject({ name: "deploy", onFailure: "stop", locks: ["route:web"], text });
    expect(runbook.stages.map((stage) => stage.map((step) => step.id))).toEqual([
      ["first"],
      ["left", "right"],
      ["last"],
    ]);
    expect(runbook.stages[2]?.[0]).toMatchObject({
      timeout: 60_000,
      retry: { attempts: 3, backoff: 1000 },
      undo: "auto",
    });
  });
});

describe("inputs", () => {
  const inputs = async (given: Record<string, string>) => resolveInputs(await world().runbook(text), given);

  it("are typed by their declaration and filled with defaults", async () => {
    expect(await inputs({ version: "7", shards: "4", fast: "true", colour: "green" })).toEqual({
      version: "7",
      shards: 4,
      fast: true,
      colour: "green",
    });
    expect(await inputs({ version: "7" })).toEqual({ version: "7", shards: 2, fast: false, colour: "blue" });
  });

  it.each([
    [{}, /needs the input "version"/, "add --input version=… (What to deploy)"],
    [{ version: "1", shards: "many" }, /shards must be a number/, "write a number"],
    [{ version: "1", shards: "" }, /shards must be a number/, "write a number"],
    [{ version: "1", fast: "yes" }, /fast must be a boolean/, "write true or false"],
    [{ version: "1", colour: "gren" }, /colour cannot be "gren"/, 'did you mean "green"?'],
    [{ version: "1", toString: "x" }, /has no input "toString"/, expect.any(String)],
  ])("%j are refused", async (given, message, hint) => {
    expect(await failure(inputs(given as Record<string, string>))).toMatchObject({
      code: "E_INPUT",
      message: expect.stringMatching(message),
      hint,
    });
  });
});

describe("a selection", () => {
  it.each([
    [{ from: "right" }, ["first", "left"]],
    [{ only: ["left", "last"] }, ["first", "right"]],
    [{ skip: ["last"] }, ["last"]],
    [{ from: "left", skip: ["right"] }, ["first", "right"]],
    [{}, []],
  ])("%j leaves out %j", async (selection, expected) => {
    expect([...unselectedSteps(await world().runbook(text), selection)]).toEqual(expected);
  });

  it("of a step that is not there is refused with a suggestion", async () => {
    const runbook = await world().runbook(text);

    expect(refusal(() => unselectedSteps(runbook, { only: ["rigth"] }))).toMatchObject({
      code: "E_STEP_UNKNOWN",
      hint: 'did you mean "right"?',
    });
  });
});

describe("a plan", () => {
  const plan = async (fake: FakeWorld, of = text, inputs = { version: "7" }, unselected: string[] = []) => {
    const context = testContext({});
    return planRunbook({
      runbook: await fake.runbook(of),
      environment: context.environment,
      inputs,
      variables: {},
      unselected: new Set(unselected),
      context,
    });
  };

  it("says what would change, what is not known yet, and what is locked; and changes nothing", async () => {
    const fake = world();
    fake.values.set("a", "6");

    const { steps, targets } = await plan(fake);

    expect(steps.map(({ id, state, undo }) => [id, state, undo])).toEqual([
      ["first", "planned", "automatic"],
      ["left", "planned", "not needed"],
      ["right", "planned", "automatic"],
      ["last", "deferred", "automatic"],
    ]);
    expect(steps[0]?.changes).toEqual([
      { target: "value:a", action: "update", summary: "set a", from: "6", to: "7" },
    ]);
    expect(steps[3]?.why).toBe("known when left has run");
    expect(targets).toEqual(["route:web", "value:a", "value:b"]);
    expect(fake.done).toEqual([]);
  });

  it("has the same digest as long as nothing changed, and another one when anything did", async () => {
    const digest = async (
      change: (fake: FakeWorld) => void,
      ...rest: [string?, { version: string }?, string[]?]
    ) => {
      const fake = world();
      change(fake);
      return (await plan(fake, ...rest)).digest;
    };
    const none = () => undefined;
    const first = await digest(none);

    expect(await digest(none)).toBe(first);
    const others = await Promise.all([
      digest((fake) => fake.values.set("a", "6")),
      digest(none, `${text}# edited\n`),
      digest(none, text, { version: "8" }),
      digest(none, text, { version: "7" }, ["last"]),
    ]);
    expect(new Set([first, ...others]).size).toBe(5);
  });

  it("shows a step that is left out or whose condition is false as skipped", async () => {
    const skipping =
      "name: r\nsteps:\n  - { id: a, uses: value.get, with: { key: a }, if: 'environment == \"x\"' }\n  - { id: b, uses: value.get, with: { key: b } }\n";

    const { steps } = await plan(world(), skipping, undefined, ["b"]);

    expect(steps.map(({ state, why }) => [state, why])).toEqual([
      ["skipped", 'if: environment == "x" is false'],
      ["skipped", "not selected"],
    ]);
  });

  it("of a runbook with a secret in plain text is refused: the journal would keep it", async () => {
    rememberSecret("correct-horse-battery");
    const holding =
      "name: r\nsteps:\n  - { id: a, uses: value.set, with: { key: a, to: correct-horse-battery } }\n";

    for (const refused of [
      await failure(plan(world(), holding)),
      await failure(plan(world(), text, { version: "correct-horse-battery" })),
    ]) {
      expect(refused).toMatchObject({ code: "E_PLAIN_SECRET", exitCode: 2 });
      expect(refused.message).not.toContain("correct-horse");
    }
  });

  it("takes the environment variables it needs, and misses one by its name", async () => {
    const using = `name: r\nsteps:\n  - { id: a, uses: value.set, with: { key: a, to: "\${{ env.REGION }}" } }\n`;
    const runbook = await world().runbook(using);

    expect(usedVariables(runbook, { REGION: "eu", OTHER: "x" })).toEqual({ REGION: "eu" });
    expect(refusal(() => usedVariables(runbook, {}))).toMatchObject({
      code: "E_VARIABLE",
      hint: "set it: export REGION=…",
    });
  });
});
