import { cp, mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
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
    await cp(join(projectRoot, "bin", "ops"), join(installed, "bin", "ops"));
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
