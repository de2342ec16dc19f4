import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { Operation } from "../../../src/run/operation.ts";
import { operations } from "../../../src/shell/operations.ts";
import { perform, RecordingReport, testContext } from "../../support/context.ts";

let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "ops-sh-"));
});

afterEach(async () => {
  await rm(folder, { recursive: true, force: true });
});

function shellRun(): Operation {
  const [operation] = operations;
  if (operation === undefined) throw new Error("there is no shell.run");
  return operation;
}

const run = (input: object) => perform(shellRun(), testContext({}, { directory: folder }), input);
const sh = (script: string, input: object = {}) => run({ command: ["sh", "-c", script], ...input });
const written = (name: string) => readFile(join(folder, name), "utf8");

describe("a program that ends well", () => {
  test("gives its exit code and the end of its output, its lines as they come", async () => {
    const { output, report } = await sh("for i in 1 2 3 4; do echo line $i; done", { lines: 2 });

    expect(output).toMatchObject({ exitCode: 0, stdout: "line 3\nline 4" });
    expect(report.lines).toEqual(["line 1", "line 2", "line 3", "line 4"]);
  });

  test("gets its arguments as they are: no shell reads them", async () => {
    const { output } = await run({ command: ["echo", "$HOME; ls", "*"] });

    expect(output).toMatchObject({ stdout: "$HOME; ls *" });
  });

  test("shows in the plan as a command line", async () => {
    const { changes } = await run({ command: ["echo", "two words"] });

    expect(changes).toEqual([{ target: "program:echo", action: "run", summary: "run echo 'two words'" }]);
  });

  test("runs in the folder that it is given, relative to the configuration", async () => {
    const { output } = await run({ command: ["pwd"], cwd: "." });

    expect(output).toMatchObject({ stdout: folder });
  });

  test("may end with the exit code that is expected of it", async () => {
    const { output } = await sh("exit 3", { "expect-exit": 3 });

    expect(output).toMatchObject({ exitCode: 3 });
  });

  test("may print more than is kept", async () => {
    const { output } = await sh("head -c 12000000 /dev/zero | tr '\\0' x | fold -w 1000; echo; echo end", {
      lines: 1,
    });

    expect(output).toMatchObject({ exitCode: 0, stdout: "end" });
  });
});

describe("its environment", () => {
  test("holds what is named and nothing else of ours, a token masked in what it prints", async () => {
    process.env.SHELL_TEST_TOKEN = "t0ps3cret";
    process.env.SHELL_TEST_OTHER = "other";

    const { output, report } = await sh(
      'echo "$SHELL_TEST_TOKEN/$SHELL_TEST_OTHER"; echo "$SHELL_TEST_TOKEN" > got',
      {
        variables: ["SHELL_TEST_TOKEN"],
      },
    );

    expect(await written("got")).toBe("t0ps3cret\n");
    expect(output).toMatchObject({ stdout: "***/" });
    expect(report.lines).toEqual(["***/"]);
  });

  test("must have what is named, or the plan already fails", async () => {
    await expect(sh("true", { variables: ["NOT_SET_A", "NOT_SET_B"] })).rejects.toMatchObject({
      code: "E_SHELL_ENV",
      exitCode: 2,
      message: "The environment variables NOT_SET_A, NOT_SET_B are not set",
    });
  });
});

describe("a program that fails", () => {
  test("is named with its exit code and the last it said", async () => {
    await expect(sh("echo working; echo no space left >&2; exit 7")).rejects.toMatchObject({
      code: "E_SHELL_FAILED",
      message: "sh -c 'echo working; echo no space left >&2; exit 7' ended with exit code 7, expected 0",
      cause: "no space left",
      details: { exitCode: 7, stdout: "working", stderr: "no space left" },
    });
  });

  test("is stopped when its time is over", async () => {
    const started = performance.now();

    await expect(run({ command: ["sleep", "30"], timeout: "200ms" })).rejects.toMatchObject({
      code: "E_SHELL_TIMEOUT",
      message: "sleep 30 did not end within 200ms and was stopped",
    });

    expect(performance.now() - started).toBeLessThan(5000);
  });

  test("is stopped when the run ends", async () => {
    const context = testContext({}, { signal: AbortSignal.timeout(200) });

    await expect(perform(shellRun(), context, { command: ["sleep", "30"] })).rejects.toMatchObject({
      name: "TimeoutError",
    });
  });

  test.each([
    ["no-such-program", "The program no-such-program is not on PATH"],
    ["./nothing", "The program ./nothing is not there or not executable"],
  ])("because %s is missing fails while planning", async (program, message) => {
    const input = shellRun().input.parse({ command: [program] });

    await expect(shellRun().observe(testContext({}), input)).rejects.toMatchObject({
      code: "E_PROGRAM_MISSING",
      message,
    });
  });
});

describe("after a crash", () => {
  const apply = (report: RecordingReport) => {
    const input = shellRun().input.parse({ command: ["sh", "-c", "echo run >> runs"] });
    return shellRun().apply(testContext({}, { directory: folder }), input, { program: "sh" }, report);
  };

  test("in the middle of the program it is started again, and the run says so", async () => {
    const report = new RecordingReport({ state: "started" });

    await apply(report);

    expect(await written("runs")).toBe("run\n");
    expect(report.lines[0]).toMatch(/^an earlier sh -c .* was cut off; starting it again$/);
  });

  test("between its end and the end of the step it is not started again", async () => {
    const report = new RecordingReport();
    const first = await apply(report);

    const second = await apply(new RecordingReport(report.last));

    expect(second).toEqual(first);
    expect(await written("runs")).toBe("run\n");
  });
});

describe("the way back", () => {
  test("is the program named for it, as often as it is asked", async () => {
    const { undo } = await sh("touch made", { undo: ["rm", "-f", "made"] });

    expect(await undo()).toEqual({ undone: true, note: "ran rm -f made" });
    expect(await undo()).toEqual({ undone: true, note: "ran rm -f made" });
    await expect(written("made")).rejects.toMatchObject({ code: "ENOENT" });
  });

  test("is missing where none is named", async () => {
    const { undo } = await run({ command: ["true"] });

    expect(await undo()).toEqual({ undone: false, note: 'true has no "undo": see what it did' });
  });

  test("that fails is an error", async () => {
    const { undo } = await run({ command: ["true"], undo: ["sh", "-c", "echo locked >&2; exit 2"] });

    await expect(undo()).rejects.toMatchObject({ code: "E_SHELL_UNDO_FAILED", cause: "locked" });
  });
});
