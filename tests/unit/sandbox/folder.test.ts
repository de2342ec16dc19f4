import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { checkSocketPath } from "../../../src/sandbox/balancer-config.ts";
import { choosePorts, folderState, readPorts, writeDescription } from "../../../src/sandbox/description.ts";
import { takeDown } from "../../../src/sandbox/down.ts";
import { sandboxLayout } from "../../../src/sandbox/layout.ts";
import { perform, testContext } from "../../support/context.ts";
import { sandboxOperation } from "../../support/sandbox.ts";

describe("the folder of a sandbox", () => {
  let folder: string;

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "ops-sb-"));
  });

  afterEach(async () => {
    await rm(folder, { recursive: true, force: true });
  });

  it("is told apart from no folder, an empty one and somebody else's", async () => {
    const layout = sandboxLayout(join(folder, "box"));
    expect(await folderState(layout)).toBe("absent");
    await mkdir(layout.directory);
    expect(await folderState(layout)).toBe("empty");
    await writeDescription(layout, await choosePorts());
    expect(await folderState(layout)).toBe("sandbox");

    const other = sandboxLayout(join(folder, "other"));
    await mkdir(other.directory);
    await writeFile(join(other.directory, "thesis.txt"), "three years of work");
    await expect(folderState(other)).rejects.toMatchObject({ code: "E_SANDBOX_DIRECTORY", exitCode: 2 });
  });

  it("is never removed where it is not a sandbox", async () => {
    const path = join(folder, "thesis.txt");
    await writeFile(path, "three years of work");

    await expect(takeDown(sandboxLayout(folder))).rejects.toMatchObject({ code: "E_SANDBOX_DIRECTORY" });

    expect(await readFile(path, "utf8")).toBe("three years of work");
  });

  it("keeps the ports, each a different one", async () => {
    const layout = sandboxLayout(join(folder, "box"));
    const ports = await choosePorts();

    await writeDescription(layout, ports);

    expect(await readPorts(layout)).toEqual(ports);
    expect(new Set(Object.values(ports)).size).toBe(5);
  });

  it("is refused, with the way out, where the balancer's socket would get too long a path", () => {
    expect(() => checkSocketPath(sandboxLayout(`/tmp/${"x".repeat(90)}`))).toThrow(
      expect.objectContaining({ code: "E_SANDBOX_DIRECTORY", hint: expect.stringContaining("--dir /tmp/") }),
    );
    expect(() => checkSocketPath(sandboxLayout(`/tmp/${"x".repeat(70)}`))).not.toThrow();
  });

  it("taken down when it is not there is nothing to do, and said so", async () => {
    const { changes, output, report } = await perform(sandboxOperation("down"), testContext({}), {
      dir: join(folder, "none"),
    });

    expect(changes).toEqual([]);
    expect(output).toMatchObject({ stoppedProcesses: 0 });
    expect(report.lines).toEqual([`There is no sandbox in ${join(folder, "none")}`]);
  });

  it("cannot be reset where no sandbox is", async () => {
    const done = perform(sandboxOperation("reset"), testContext({}), { dir: join(folder, "none") });

    await expect(done).rejects.toMatchObject({ code: "E_SANDBOX_NOT_UP" });
  });
});
