import { cp, mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { ops } from "../support/ops.ts";

const fixtures = new URL("../fixtures/broken/", import.meta.url);
const [runbooks, configs] = await Promise.all([casesIn("runbooks"), casesIn("configs")]);

let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "ops-broken-"));
  await cp(fixtures, folder, { recursive: true });
});

afterAll(() => rm(folder, { recursive: true, force: true }));

describe("a broken file gives its exact error, exit code 2, and nothing is touched", () => {
  it("covers at least 50 files", () => {
    expect(runbooks.length + configs.length).toBeGreaterThanOrEqual(50);
  });

  it.each(runbooks)("runbooks/%s", async (name) => {
    await check(["runbook", "validate", await inputOf("runbooks", name)], "runbooks", name);
  });

  it.each(configs)("configs/%s", async (name) => {
    await check(["config", "show", "--config", await inputOf("configs", name)], "configs", name);
  });

  it("a broken runbook is refused by plan and run as by validate", async () => {
    const file = "runbooks/12-unknown-operation.yaml";
    const expected = await readFile(new URL("runbooks/12-unknown-operation.expected", fixtures), "utf8");
    const before = await listing();

    for (const command of [["plan"], ["run"], ["run", "--dry-run"]]) {
      const result = await ops([...command, file], { cwd: folder });
      expect(result).toEqual({ exitCode: 2, signal: null, stdout: "", stderr: expected });
    }
    expect(await listing()).toEqual(before);
  });

  it("several broken runbooks are reported together, by file", async () => {
    const files = ["runbooks/36-empty-steps.yaml", "runbooks/12-unknown-operation.yaml"];

    const { exitCode, stderr } = await ops(["runbook", "validate", ...files], { cwd: folder });

    expect(exitCode).toBe(2);
    expect(stderr.split("\n").filter((line) => line.startsWith("runbooks/"))).toEqual([
      expect.stringMatching(/^runbooks\/12-.*:4:11: /),
      expect.stringMatching(/^runbooks\/12-.*:6:11: /),
      expect.stringMatching(/^runbooks\/36-.*:2:8: /),
    ]);
    expect(stderr).toMatch(/^3 mistakes \(E_RUNBOOK\)$/m);
  });
});

async function check(args: readonly string[], kind: string, name: string): Promise<void> {
  const before = await listing();
  const result = await ops(args, { cwd: folder });
  const expected = await readFile(new URL(`${kind}/${name}.expected`, fixtures), "utf8");
  expect(result.stderr).toBe(expected);
  expect(result).toMatchObject({ exitCode: 2, stdout: "" });
  expect(await listing()).toEqual(before);
}

async function casesIn(kind: string): Promise<string[]> {
  const names = await readdir(new URL(kind, fixtures));
  return names
    .filter((name) => name.endsWith(".expected"))
    .map((name) => name.replace(/\.expected$/, ""))
    .sort();
}

/** The file beside `NN-what.expected`, relative; one that is not there for the case of a missing file. */
async function inputOf(kind: string, name: string): Promise<string> {
  const names = await readdir(new URL(kind, fixtures));
  const input = names.find(
    (each) => each !== `${name}.expected` && (each === name || each.startsWith(`${name}.`)),
  );
  if (input === undefined) return `${kind}/${name}.yaml`;
  return input.endsWith("package-json") ? `${kind}/${input}/package.json` : `${kind}/${input}`;
}

async function listing(): Promise<string[]> {
  return (await readdir(folder, { recursive: true })).sort();
}
