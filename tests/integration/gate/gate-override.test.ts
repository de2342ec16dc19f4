import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { systemClock } from "../../../src/core/clock.ts";
import { checks } from "../../../src/gate/checks.ts";
import { operations } from "../../../src/gate/operations.ts";
import { activeOverrides, overridesIn } from "../../../src/run/gate-override.ts";
import { GateRecord } from "../../../src/run/gate-record.ts";
import type { GateResult } from "../../../src/run/gate-verdict.ts";
import { measureGate } from "../../../src/run/measure-gate.ts";
import { keepVerdict, newestVerdicts } from "../../../src/run/verdict-history.ts";
import { perform, RecordingReport, testContext } from "../../support/context.ts";
import { ops, startOps } from "../../support/ops.ts";

let folder: string;
let config: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "ops-override-"));
  config = join(folder, ".opsrc");
});

beforeEach(async () => {
  await rm(join(folder, ".ops"), { recursive: true, force: true });
  await writeFile(config, JSON.stringify(settings));
});

afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
});

const settings = {
  gates: {
    "pre-deploy": {
      "longest-override": "7d",
      checks: [
        { id: "fine", kind: "command", with: { command: ["echo", "fine"] } },
        { id: "vendor", kind: "command", with: { command: ["sh", "-c", "echo down >&2; exit 1"] } },
        { id: "blind", kind: "command", with: { command: ["no-such-program"] } },
      ],
    },
  },
};

const gate = (verb: string, ...args: string[]) => ops(["gate", verb, ...args], { config, cwd: folder });
const check = async (...args: string[]) => {
  const { exitCode, stdout, stderr } = await gate("check", "pre-deploy", "--json", ...args);
  return { exitCode, stderr, result: JSON.parse(stdout) as GateResult };
};
const override = (id: string, ...args: string[]) =>
  gate("override", "pre-deploy", id, "--by", "Ann Lee", "--reason", "known: ticket 7", ...args);

describe("an override", () => {
  test("makes a failed and an unknown check warn, shows what they are, and is journaled with the verdict", async () => {
    const before = await check();
    expect(before.exitCode).toBe(3);

    for (const id of ["vendor", "blind"]) {
      const { exitCode, stderr } = await override(id, "--for", "2h");
      expect(exitCode, stderr).toBe(0);
    }
    const after = await check();
    const text = await gate("check", "pre-deploy");
    const journal = await ops(["runs", "show", after.result.run ?? ""], { config, cwd: folder });

    expect(after.exitCode).toBe(0);
    expect(after.result.checks).toMatchObject([
      { status: "pass", counts: "pass" },
      { status: "fail", counts: "warn", override: { by: "Ann Lee", reason: "known: ticket 7" } },
      { status: "unknown", counts: "warn", override: { by: "Ann Lee" } },
    ]);
    expect(text.stdout).toMatch(/✗ vendor .*\n +overridden by Ann Lee until .* UTC: known: ticket 7/);
    expect(text.stdout).toContain("Gate pre-deploy: go (2 checks overridden)");
    expect(journal.stdout).toMatch(
      /✗ vendor(.|\n)*overridden by Ann Lee(.|\n)*read sha256:(.|\n)*as configured: sha256:/,
    );
    // The verdict of before stays what it was, with its evidence.
    const failed = await ops(["runs", "show", before.result.run ?? ""], { config, cwd: folder });
    expect(failed.stdout).toContain("Gate pre-deploy: no-go");
  });

  test("ends when it is revoked, and is seen for ever", async () => {
    await override("vendor", "--for", "2h");
    const { id } = JSON.parse((await gate("overrides", "--json")).stdout).overrides[0];

    await gate("revoke", "pre-deploy", "vendor", "--by", "Bob");
    const { result } = await check();
    const all = JSON.parse((await gate("overrides", "--all", "--json")).stdout).overrides;

    expect(result.checks[1]).toMatchObject({ id: "vendor", counts: "fail" });
    expect(result.checks[1]).not.toHaveProperty("override");
    expect((await gate("overrides")).stdout).toBe("no overrides\n");
    expect(all).toMatchObject([{ id, state: "revoked", by: "Ann Lee", revoked: { by: "Bob" } }]);
    expect((await gate("explain", "pre-deploy", "vendor")).stdout).toMatch(
      /overridden by Ann Lee .* \(revoked\)/,
    );
  });

  test.each([
    [{ for: "2h", reason: " " }, "must not be empty"],
    [{}, "or --for is missing: it needs an end"],
    [{ for: "2h", until: "2030-01-01T10:00:00Z" }, "and --for are two ends"],
    [{ for: "30d" }, "Gate pre-deploy allows overrides of at most 7d 0h, not of 30d 0h"],
    [{ until: "2020-01-01 10:00Z" }, "An override must end in the future"],
    [{ until: "2030-01-01T10:00" }, "must have date, time and zone"],
    [{ for: "2h", check: "vendr" }, 'Gate pre-deploy has no check "vendr"'],
  ])("%j is refused before anything is kept", async (input, message) => {
    const operation = operations.find(({ name }) => name === "gate.override");
    const given = { gate: "pre-deploy", check: "vendor", by: "Ann", reason: "x", ...input };
    const refused = async () =>
      operation?.observe(testContext(settings, { checks }), operation.input.parse(given));

    await expect(refused()).rejects.toThrow(message);
  });

  test("without a reason is refused with exit code 2", async () => {
    const { exitCode, stderr } = await gate("override", "pre-deploy", "vendor", "--by", "Ann", "--for", "1h");

    expect(exitCode).toBe(2);
    expect(stderr).toContain("--reason is missing");
  });

  test("of another environment, or one that has expired, counts for nothing", async () => {
    await override("vendor", "--for", "2h");
    const stateDirectory = join(folder, ".ops");
    const place = { environment: "default", gate: "pre-deploy" };
    const later = new Date(Date.now() + 3 * 3_600_000);

    expect([...activeOverrides(overridesIn(stateDirectory, place), new Date()).keys()]).toEqual(["vendor"]);
    expect(activeOverrides(overridesIn(stateDirectory, place), later).size).toBe(0);
    expect(overridesIn(stateDirectory, { ...place, environment: "production" })).toEqual([]);
  });

  test("is one where its run is resumed, and revoked where it is taken back", async () => {
    const operation = operations.find(({ name }) => name === "gate.override");
    if (operation === undefined) throw new Error("there is no gate.override");
    const context = testContext(settings, { checks, directory: folder });
    const input = { gate: "pre-deploy", check: "vendor", by: "Ann", reason: "x", for: "1h" };
    const all = () => overridesIn(context.stateDirectory, { environment: "test" });

    const done = await perform(operation, context, input);
    await operation.apply(context, operation.input.parse(input), done.before, new RecordingReport());
    expect(all()).toMatchObject([{ by: "Ann", run: "20260101-000000-test" }]);

    await done.undo();
    expect(all()).toMatchObject([{ by: "Ann", revoked: { reason: "its run was taken back" } }]);
  });

  test("is there whole or not at all where its process is killed, and two at once are two", async () => {
    for (const wait of [200, 300, 400]) {
      const { child, result } = startOps(
        ["gate", "override", "pre-deploy", "vendor", "--by", "Ann", "--reason", "x", "--for", "1h"],
        { config, cwd: folder },
      );
      setTimeout(() => child.kill("SIGKILL"), wait);
      await result;
    }
    const before = JSON.parse((await gate("overrides", "--json")).stdout).overrides.length;
    const both = await Promise.all([override("vendor", "--for", "1h"), override("vendor", "--for", "2h")]);

    expect(both.map(({ exitCode }) => exitCode)).toEqual([0, 0]);
    expect(JSON.parse((await gate("overrides", "--json")).stdout).overrides).toHaveLength(before + 2);
  });
});

describe("a result that stays fresh", () => {
  const configured = (script: string, freshFor: string | undefined, more: object = {}) => ({
    gates: {
      g: {
        checks: [
          {
            id: "load",
            kind: "command",
            with: { command: ["sh", "-c", script] },
            fail: "> 200",
            ...(freshFor === undefined ? {} : { "fresh-for": freshFor }),
          },
        ],
      },
    },
    ...more,
  });
  const context = (from: object, ahead = 0) => ({
    ...testContext(from, { checks, directory: folder }),
    clock: { ...systemClock, now: () => new Date(Date.now() + ahead) },
  });
  const measured = async (from: object, ahead = 0, choices = {}) => {
    const [result] = (await measureGate(context(from, ahead), "g", 5000, undefined, choices)).checks;
    if (result === undefined) throw new Error("the gate has no result");
    return { status: result.status, kept: result.kept !== undefined };
  };
  const good = configured("echo 120", "10m");

  test("is used again within its time, by the same check on the same places only", async () => {
    expect(await measured(good)).toEqual({ status: "pass", kept: false });
    expect(await measured(good)).toEqual({ status: "pass", kept: true });
    expect(await measured(good, 9 * 60_000)).toEqual({ status: "pass", kept: true });
    expect(await measured(good, 0, { anew: true })).toEqual({ status: "pass", kept: false });

    expect(await measured(good, 11 * 60_000)).toEqual({ status: "pass", kept: false });
    // That one is from a clock that was ahead.
    expect(await measured(good)).toEqual({ status: "pass", kept: false });
    expect(await measured({ ...good, databases: { main: { url: "postgresql://a@other/x" } } })).toMatchObject(
      {
        kept: false,
      },
    );
    expect(await measured(configured("echo 121", "10m"))).toMatchObject({ kept: false });
    expect(await measured(configured("echo 121", undefined))).toMatchObject({ kept: false });
  });

  test("is never one that failed or is unknown: that is looked at again", async () => {
    const bad = configured("echo 300", "10m");
    const blind = configured("echo many", "10m");

    expect([await measured(bad), await measured(bad)]).toEqual([
      { status: "fail", kept: false },
      { status: "fail", kept: false },
    ]);
    expect([await measured(blind), await measured(blind)]).toEqual([
      { status: "unknown", kept: false },
      { status: "unknown", kept: false },
    ]);
  });
});

describe("list, show and explain", () => {
  const told = async (name: string, input: object) => {
    const operation = operations.find((each) => each.name === `gate.${name}`);
    if (operation === undefined) throw new Error(`there is no gate.${name}`);
    const { output } = await perform(operation, testContext(settings, { checks, directory: folder }), input);
    return operation.render?.(output) ?? "";
  };
  const secrets = {
    id: "api",
    kind: "http",
    with: { url: "http://127.0.0.1:9/x?key=hunter22", headers: { authorization: "Bearer hunter33" } },
  };

  test("tell of a gate before it was ever checked, and afterwards what it said", async () => {
    expect(await told("list", {})).toMatch(/pre-deploy +3 +never checked/);
    expect(await told("show", { gate: "pre-deploy" })).toContain("was never checked on this machine");

    const context = testContext(settings, { checks, directory: folder });
    keepVerdict(context.stateDirectory, await measureGate(context, "pre-deploy", 5000));

    expect(await told("list", {})).toMatch(/pre-deploy +3 +no-go, .* ago/);
    expect(await told("show", { gate: "pre-deploy" })).toMatch(/✗ vendor +sh ended with exit code 1: down/);
    const explained = await told("explain", { gate: "pre-deploy", check: "vendor" });
    expect(explained).toContain("vendor of gate pre-deploy: command");
    expect(explained).toMatch(
      /last .*sh ended with exit code 1: down, measured .*, run 20260101-000000-test/,
    );
    expect(explained).toMatch(/read +sha256:/);
    await expect(told("explain", { gate: "pre-deploy", check: "vendr" })).rejects.toThrow("no check");
  });

  test("list tells which gate cannot be read, and of the others what there is", async () => {
    const gates = { ...settings.gates, broken: { file: "no-such-gate.yaml" } };
    const operation = operations.find((each) => each.name === "gate.list");
    const context = testContext({ gates }, { checks, directory: folder });
    const output = await operation?.apply(context, {}, null, new RecordingReport());

    expect(output).toMatchObject({
      gates: [
        { gate: "pre-deploy", checks: 3 },
        { gate: "broken", checks: null, problem: expect.stringContaining("cannot be read") },
      ],
    });
  });

  test("explain shows no secrets of what a check is configured with", async () => {
    const context = testContext({ gates: { g: { checks: [secrets] } } }, { checks, directory: folder });
    const operation = operations.find((each) => each.name === "gate.explain");
    const answer = await operation?.apply(context, { gate: "g" }, null, new RecordingReport());

    expect(JSON.stringify(answer)).toContain("http://127.0.0.1:9/x?…");
    expect(JSON.stringify(answer)).not.toMatch(/hunter/);
  });
});

describe("the record of gates", () => {
  test("keeps the newest verdicts only, and refuses a file that is none", async () => {
    const directory = join(folder, ".ops");
    const { result } = await check();
    for (let each = 0; each < 101; each += 1) keepVerdict(directory, { ...result, durationMs: each });

    expect(newestVerdicts(directory, "default", "pre-deploy", 1000)).toHaveLength(100);
    expect(newestVerdicts(directory, "default", "pre-deploy")[0]?.durationMs).toBe(100);

    await rm(directory, { recursive: true });
    expect(GateRecord.openToRead(directory)).toBeUndefined();
    await mkdir(directory);
    await writeFile(
      join(directory, "gates.db"),
      "this is no database, and longer than its header has bytes".repeat(9),
    );
    const broken = await gate("check", "pre-deploy");
    expect(broken.exitCode).toBe(1);
    expect(broken.stderr).toContain("E_GATE_RECORD");
  });
});
