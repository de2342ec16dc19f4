import { mkdtemp, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { takeDown } from "../../src/sandbox/down.ts";
import { type SandboxLayout, sandboxLayout } from "../../src/sandbox/layout.ts";
import { markedProcesses } from "../../src/sandbox/process-table.ts";
import { ops, startOps } from "../support/ops.ts";

/** From before the first file to about when it is up, on a machine that is not slow. */
const moments = [150, 300, 450, 600, 800, 1000, 1300, 1700];

describe("a sandbox that something went wrong with", () => {
  let cwd: string;
  let layout: SandboxLayout;

  beforeEach(async () => {
    cwd = await mkdtemp(join(tmpdir(), "ops-sb-"));
    layout = sandboxLayout(join(cwd, "box"));
  });

  afterEach(async () => {
    await takeDown(layout);
    await rm(cwd, { recursive: true, force: true });
  });

  async function killedUp(afterMs: number): Promise<void> {
    const { child, result } = startOps(["sandbox", "up", "--dir", "box", "--yes"], { cwd });
    await delay(afterMs);
    child.kill("SIGKILL");
    await result;
  }

  it.for(moments)(
    "leaves nothing behind after down when its start was killed after %i ms",
    async (moment) => {
      await killedUp(moment + Math.round(Math.random() * 100));

      const { exitCode, stderr } = await ops(["sandbox", "down", "--dir", "box", "--yes"], { cwd });

      expect({ exitCode, stderr }).toMatchObject({ exitCode: 0 });
      expect(await markedProcesses(layout)).toEqual([]);
      await expect(stat(layout.directory)).rejects.toMatchObject({ code: "ENOENT" });
    },
  );

  it("comes up when it is started again after its start was killed", async () => {
    await killedUp(700);

    const { exitCode, stdout, stderr } = await ops(["sandbox", "up", "--dir", "box", "--yes", "--json"], {
      cwd,
    });

    expect({ exitCode, stderr }).toMatchObject({ exitCode: 0 });
    expect(stdout).toContain('"up"');
  });

  it("is found by down also where somebody removed its folder", async () => {
    await ops(["sandbox", "up", "--dir", "box", "--yes"], { cwd });
    // The server writes into it while it goes.
    await rm(layout.directory, { recursive: true, force: true, maxRetries: 10 });
    expect((await markedProcesses(layout)).length).toBeGreaterThanOrEqual(3);

    const { exitCode } = await ops(["sandbox", "down", "--dir", "box", "--yes"], { cwd });

    expect(exitCode).toBe(0);
    expect(await markedProcesses(layout)).toEqual([]);
  });
});
