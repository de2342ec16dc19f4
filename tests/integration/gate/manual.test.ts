import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import type { Clock } from "../../../src/core/clock.ts";
import { OpsError } from "../../../src/core/errors.ts";
import { checks } from "../../../src/gate/checks.ts";
import { operations } from "../../../src/gate/operations.ts";
import { measureGate } from "../../../src/run/measure-gate.ts";
import { perform, testContext } from "../../support/context.ts";

let directory: string;
let now: Date;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "ops-manual-"));
  now = new Date("2026-11-22T12:00:00Z");
});

afterEach(async () => {
  await rm(directory, { recursive: true });
});

const usual = { question: "Is it announced?", role: "release manager" };

/** A context of a gate that asks `question`, run by run. */
function asking(question: object = usual, run = "run-1") {
  const settings = {
    gates: {
      g: {
        checks: [
          { id: "announced", kind: "manual", with: question },
          { id: "sure", kind: "command", with: { command: ["true"] } },
        ],
      },
    },
  };
  const clock: Clock = { ...testContext({}).clock, now: () => now };
  return { ...testContext(settings, { directory, checks }), clock, runId: run };
}

const operation = (name: string) => {
  const found = operations.find((each) => each.name === name);
  if (found === undefined) throw new Error(`there is no ${name}`);
  return found;
};

const yes = { gate: "g", check: "announced", answer: "yes", by: "Ada King", note: "mail of 9:00" };

const answer = (context: ReturnType<typeof asking>, input: object = yes) =>
  perform(operation("gate.answer"), context, input);

async function asked(context = asking()) {
  const { checks: results, verdict } = await measureGate(context, "g", 5000);
  const found = results.find((each) => each.id === "announced");
  return { verdict, status: found?.status, reason: found?.reason ?? "", evidence: found?.evidence };
}

test("without an answer it is unknown, and says who must answer and what to type", async () => {
  expect(await asked()).toMatchObject({
    verdict: "no-go",
    status: "unknown",
    reason:
      'release manager must answer "Is it announced?": ops gate answer g announced yes --env test --by NAME --note TEXT',
  });
});

test("an answer counts until it ends, and its evidence says who gave it, where and in which run", async () => {
  await answer(asking(), { ...yes, for: "2h" });

  expect(await asked()).toMatchObject({
    verdict: "go",
    status: "pass",
    reason: 'Ada King says yes to "Is it announced?", until 2026-11-22 14:00 UTC: mail of 9:00',
    evidence: {
      standing: "yes",
      answer: {
        by: "Ada King",
        actor: "test@localhost",
        at: "2026-11-22T12:00:00.000Z",
        until: "2026-11-22T14:00:00.000Z",
        run: "run-1",
      },
    },
  });
  now = new Date("2026-11-22T14:00:00Z");
  const { status, reason } = await asked();
  expect(status).toBe("unknown");
  expect(reason).toMatch(
    /^the yes of Ada King counted until 2026-11-22 14:00 UTC; release manager must answer/,
  );
});

test("a no fails, and a later yes takes its place", async () => {
  await answer(asking(), { ...yes, answer: "no", note: "support does not know" });
  expect(await asked()).toMatchObject({
    status: "fail",
    reason: expect.stringContaining("support does not know"),
  });

  await answer(asking(usual, "run-2"));
  expect(await asked()).toMatchObject({ status: "pass" });
});

test("a changed question needs a new answer, and so does one that others must answer", async () => {
  await answer(asking());

  for (const changed of [{ question: "Is it tested?" }, { role: "head of support" }, { by: ["Ada King"] }]) {
    const { status, reason } = await asked(asking({ ...usual, ...changed }));
    expect(status).toBe("unknown");
    expect(reason).toMatch(/^the question was changed since Ada King said yes/);
  }
});

test("a shorter valid-for counts for answers that were given before", async () => {
  await answer(asking({ ...usual, "valid-for": "7d" }));
  now = new Date("2026-11-23T12:00:00Z");

  expect(await asked(asking({ ...usual, "valid-for": "7d" }))).toMatchObject({ status: "pass" });
  expect(await asked(asking({ ...usual, "valid-for": "1h" }))).toMatchObject({ status: "unknown" });
});

test("what is rolled back is withdrawn, and what counted before counts again; both stay written down", async () => {
  await answer(asking(), { ...yes, answer: "no" });
  const second = await answer(asking(usual, "run-2"));
  await second.undo();

  expect(await asked()).toMatchObject({ status: "fail" });
  const { output } = await perform(operation("gate.answers"), asking(), {});
  expect(output).toMatchObject({
    answers: [
      { answer: "yes", run: "run-2", withdrawnAt: "2026-11-22T12:00:00.000Z" },
      { answer: "no", run: "run-1", withdrawnAt: null },
    ],
  });
});

test("applied again after a crash it is the same answer, and twenty at once are all kept", async () => {
  await answer(asking());
  now = new Date("2026-11-22T12:30:00Z");
  const { output } = await answer(asking());
  expect(output).toMatchObject({ answeredAt: "2026-11-22T12:00:00.000Z" });

  await Promise.all(Array.from({ length: 20 }, (_, index) => answer(asking(usual, `at-once-${index}`))));
  const all = (await perform(operation("gate.answers"), asking(), { gate: "g" })).output;
  expect((all as { answers: unknown[] }).answers).toHaveLength(21);
});

test("an answer from the future is no answer", async () => {
  await answer(asking());
  now = new Date("2026-11-22T11:00:00Z");

  expect(await asked()).toMatchObject({
    status: "unknown",
    reason: expect.stringContaining("in the future"),
  });
});

test.each([
  [{ ...yes, check: "sure" }, /measured \(command\), nobody answers it.*its manual checks are: announced/],
  [{ ...yes, check: "nothing" }, /has no check "nothing".*its manual checks are: announced/],
  [{ ...yes, for: "25h" }, /counts for at most 24h.*--for 24h00m or less|counts for at most/],
  [{ ...yes, by: "Eve" }, /Eve may not answer this question.*one of: Ada King, Grace/],
])("%o is refused before anything is written", async (input, message) => {
  const context = asking({ ...usual, by: ["Ada King", "Grace"] });
  const refused = await answer(context, input).catch((error: unknown) => error);

  if (!(refused instanceof OpsError)) throw refused;
  expect(`${refused.message} ${refused.hint}`).toMatch(message);
  expect(refused.exitCode).toBe(2);
  expect((await perform(operation("gate.answers"), context, {})).output).toEqual({ answers: [] });
});

test.each(["", "  ", "fine\n::error::", "\u001b[2J"])("a note of %j is none", (note) => {
  expect(operation("gate.answer").input.safeParse({ ...yes, note }).success).toBe(false);
});
