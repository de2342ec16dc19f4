import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { liveness, processIdentity } from "../../src/process/live-process.ts";
import { childEnvironment } from "../../src/process/run-program.ts";
import { ops, projectRoot } from "../support/ops.ts";

const launcher = join(projectRoot, "bin/ops");
let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "ops-lost-"));
  await writeFile(join(folder, ".opsrc"), "state-dir: .ops\n");
  await writeFile(
    join(folder, "two.yaml"),
    `name: two
steps:
  - { id: first, uses: shell.run, with: { command: [sh, -c, "touch begun; sleep 1; touch first"] } }
  - { id: second, uses: shell.run, with: { command: [touch, second] } }
`,
  );
});

afterEach(async () => {
  await rm(folder, { recursive: true, force: true });
});

async function status(): Promise<string> {
  return JSON.parse((await ops(["runs", "show", "last", "--json"], { cwd: folder })).stdout).status;
}

/** Its entries; none before it has begun. */
async function journal(): Promise<string> {
  const { stdout } = await ops(["runs", "show", "last", "--events"], { cwd: folder });
  return stdout
    .split("\n")
    .filter((line) => line.includes("step.checkpoint"))
    .join("\n");
}

const exists = (name: string) =>
  readFile(join(folder, name)).then(
    () => true,
    () => false,
  );

describe("a run whose reader or terminal goes away", () => {
  it("goes on to its end in silence when the reader of its output has seen enough", async () => {
    const pipe = `"$NODE" "$OPS" run two.yaml --yes --events | head -1; "$NODE" "$OPS" run two.yaml --yes 2>&1 | head -1`;
    const shell = spawn("sh", ["-c", pipe], {
      cwd: folder,
      env: childEnvironment({ NODE: process.execPath, OPS: launcher }),
      stdio: "ignore",
    });
    await once(shell, "exit");

    const { runs } = JSON.parse((await ops(["runs", "list", "--json"], { cwd: folder })).stdout);
    expect(runs.map((run: { status: string }) => run.status)).toEqual(["done", "done"]);
    expect(await exists("second")).toBe(true);
  });

  it("stops at a safe point, to be resumed, when its terminal is closed", async () => {
    const child = spawn(process.execPath, [launcher, "run", "two.yaml", "--yes"], {
      cwd: folder,
      env: childEnvironment(),
      stdio: "ignore",
    });
    const exit = once(child, "exit");
    while (!(await exists("begun"))) await delay(20);
    child.kill("SIGHUP");

    expect(await exit).toEqual([130, null]);
    expect([await exists("first"), await exists("second")]).toEqual([true, false]);
    expect(await status()).toBe("interrupted");
    expect(await ops(["runs", "resume", "last"], { cwd: folder })).toMatchObject({ exitCode: 0 });
    expect(await exists("second")).toBe(true);
  });

  it("killed with its program still at work, ends the one left over before it starts another", async () => {
    await writeFile(
      join(folder, "slow.yaml"),
      `name: slow
steps:
  - { id: slow, uses: shell.run, with: { command: [sh, -c, "echo $$ >> pids; touch begun; sleep 2"] } }
`,
    );
    const child = spawn(process.execPath, [launcher, "run", "slow.yaml", "--yes"], {
      cwd: folder,
      env: childEnvironment(),
      stdio: "ignore",
    });
    const exit = once(child, "exit");
    while (!(await journal()).includes('"pidStartedAt"')) await delay(20);
    child.kill("SIGKILL");
    await exit;

    const resumed = ops(["runs", "resume", "last"], { cwd: folder });
    let pids: number[] = [];
    while (pids.length < 2) {
      await delay(20);
      pids = (await readFile(join(folder, "pids"), "utf8")).trim().split("\n").map(Number);
    }

    // One that has ended and is not yet collected by whoever inherited it has ended.
    const [first = 0] = pids;
    expect(liveness(processIdentity(first))).not.toBe("alive");
    expect(await resumed).toMatchObject({ exitCode: 0 });
  });
});
