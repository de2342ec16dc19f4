import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { childEnvironment } from "../../src/process/run-program.ts";
import { takeDown } from "../../src/sandbox/down.ts";
import { sandboxLayout } from "../../src/sandbox/layout.ts";
import { markedProcesses } from "../../src/sandbox/process-table.ts";
import { projectRoot } from "../support/ops.ts";

describe("the demo", () => {
  let folder: string;
  const layout = () => sandboxLayout(join(folder, ".ops", "sandbox"));

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "ops-dm-"));
  });

  afterEach(async () => {
    await takeDown(layout());
    await rm(folder, { recursive: true, force: true });
  });

  it("tells both stories, and the commands that it recommends work", { timeout: 120_000 }, async () => {
    const { exitCode, output } = await start(
      "node",
      [join(projectRoot, "bin", "demo.mjs"), "--bake", "1s"],
      folder,
    ).ended;

    expect(output).toMatch(/The healthy version went live in [\d.]+ s\n +load +[\d,]+ requests, 0 failed/);
    expect(output).toMatch(/The broken version was stopped and taken back in [\d.]+ s, exit code 4/);
    expect(output).toMatch(/green (answered \d+ of \d+ requests badly|fails, and the others do not)/);
    expect(output).toContain("blue 100%, green 0% · schema 0001 · no flag");
    expect(exitCode, output).toBe(0);

    const [, recommended = ""] = output.split("look around.");
    const tried = await start("sh", ["-e", "-c", recommended], folder).ended;

    expect(recommended.match(/bin\/ops/g)).toHaveLength(7);
    expect(tried.output).toContain("E_CANARY_ABORTED");
    expect(tried.exitCode).toBe(0);
    expect(await markedProcesses(layout())).toEqual([]);
    expect(existsSync(layout().directory)).toBe(false);
  });

  it("leaves a database of the reader's own alone", { timeout: 120_000 }, async () => {
    const demo = start("node", [join(projectRoot, "bin", "demo.mjs"), "--bake", "1s", "--down"], folder, {
      OPS_DATABASE_URL: "postgresql://nobody@127.0.0.1:1/production",
      OPS_ENV: "production",
    });

    const { exitCode, output } = await demo.ended;

    expect(output).toContain("The healthy version went live");
    expect(exitCode, output).toBe(0);
  });

  it("stops with everything it started at Ctrl-C, and takes the sandbox down where it was told to", async () => {
    const demo = start("node", [join(projectRoot, "bin", "demo.mjs"), "--down"], folder);
    await demo.says("canary");

    // A terminal sends it to the whole group.
    process.kill(-demo.pid, "SIGINT");
    const { exitCode, output } = await demo.ended;

    expect(output).toContain("Interrupted");
    expect(exitCode).toBe(130);
    expect(await markedProcesses(layout())).toEqual([]);
  });

  it("says how it is called where it is called otherwise", async () => {
    const { exitCode, output } = await start("node", [join(projectRoot, "bin", "demo.mjs"), "--dwon"], folder)
      .ended;

    expect(output).toContain("--dwon");
    expect(output).toContain("node bin/demo.mjs [--bake 3s] [--down]");
    expect(exitCode).toBe(2);
  });
});

/** In a process group of its own, as a shell starts it. */
function start(program: "node" | "sh", args: string[], cwd: string, env: Record<string, string> = {}) {
  const child = spawn(program === "node" ? process.execPath : program, args, {
    cwd,
    env: childEnvironment(env),
    detached: true,
    stdio: ["ignore", "pipe", "pipe"],
    timeout: 100_000,
  });
  let output = "";
  let heard: () => void = () => undefined;
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8").on("data", (chunk: string) => {
      output += chunk;
      heard();
    });
  }
  const ended = new Promise<{ exitCode: number | null; output: string }>((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (exitCode) => resolve({ exitCode, output }));
  });
  const says = (text: string) =>
    new Promise<void>((resolve, reject) => {
      heard = () => {
        if (output.includes(text)) resolve();
      };
      heard();
      void ended.then(() => reject(new Error(`it never said "${text}": ${output}`)));
    });
  return { pid: child.pid ?? Number.NaN, ended, says };
}
