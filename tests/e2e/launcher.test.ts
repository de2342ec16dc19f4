import { cp, mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { runProgram } from "../../src/process/run-program.ts";
import { projectRoot } from "../support/ops.ts";

/** Makes the process believe that it is an old Node; a program that it starts is none. */
const old =
  "Object.defineProperty(process, 'versions', { value: { ...process.versions, node: '20.1.0' } });\n";

describe("the launcher of an installed package, on an old Node", () => {
  let project: string;
  let installed: string;

  beforeEach(async () => {
    project = await mkdtemp(join(tmpdir(), "ops-launcher-"));
    installed = join(project, "node_modules", "ops");
    await mkdir(join(installed, "bin"), { recursive: true });
    await mkdir(join(installed, "dist", "cli"), { recursive: true });
    for (const name of ["ops", "launcher.mjs"])
      await cp(join(projectRoot, "bin", name), join(installed, "bin", name));
    await writeFile(join(installed, "package.json"), '{ "type": "module", "version": "0.0.0" }');
    await writeFile(join(installed, "dist", "cli", "main.js"), "console.log(...process.argv.slice(2));\n");
    await writeFile(join(project, "old.mjs"), old);
  });

  afterEach(() => rm(project, { recursive: true, force: true }));

  const launch = () =>
    runProgram(
      process.execPath,
      ["--import", join(project, "old.mjs"), join(installed, "bin", "ops"), "hi"],
      {
        env: { PATH: process.env.PATH ?? "" },
      },
    );

  it("says how to put a newer one beside it", async () => {
    expect(await launch()).toMatchObject({
      exitCode: 2,
      stderr: expect.stringContaining("npm install node@24 puts one beside it"),
    });
  });

  it("goes on with the one that is beside it", async () => {
    await mkdir(join(project, "node_modules", "node", "bin"), { recursive: true });
    await symlink(process.execPath, join(project, "node_modules", "node", "bin", "node"));
    expect((await launch()).stdout).toBe("hi");
  });
});

describe("the launcher of an installed package", () => {
  let project: string;

  beforeEach(async () => {
    project = await mkdtemp(join(tmpdir(), "ops launcher "));
    // As npm does.
    await symlink(join(projectRoot, "bin", "ops"), join(project, "ops"));
  });

  afterEach(() => rm(project, { recursive: true, force: true }));

  const asks = (file: string, args: readonly string[], env: Readonly<Record<string, string>>) =>
    runProgram(file, args, { cwd: project, env });

  it("is a command through a link, from wherever it is called, and a module of Node", async () => {
    const PATH = `${dirname(process.execPath)}:${project}:/usr/bin:/bin`;
    for (const file of [join(project, "ops"), "./ops", "ops"])
      expect(await asks(file, ["--version"], { PATH })).toMatchObject({ exitCode: 0, stdout: "0.1.0" });
    expect(await asks(process.execPath, ["ops", "--version"], { PATH })).toMatchObject({ stdout: "0.1.0" });
  });

  it("runs by the Node that a variable names, or by that of PATH where it is gone", async () => {
    const gone = { OPS_NODE: join(project, "gone"), PATH: `${dirname(process.execPath)}:/usr/bin:/bin` };
    expect((await asks("./ops", ["--version"], gone)).stdout).toBe("0.1.0");
    const named = { OPS_NODE: process.execPath, PATH: project };
    expect((await asks("./ops", ["--version"], named)).stdout).toBe("0.1.0");
  });

  it("says that there is no Node, and to a recovering server that this is no end of the log", async () => {
    const none = { PATH: project };
    expect(await asks("./ops", ["runs", "list"], none)).toMatchObject({
      exitCode: 2,
      stderr: "ops needs Node 24 or later; there is no node in PATH",
    });
    expect(await asks("./ops", ["wal", "fetch", "x", "y"], none)).toMatchObject({ exitCode: 255 });
  });
});
