import { spawn } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { expect, test } from "vitest";
import { childEnvironment } from "../../../src/process/run-program.ts";
import { projectRoot } from "../../support/ops.ts";

test("Ctrl-C in a terminal, which reaches the whole process group, lets the program end and holds the run there", async () => {
  const folder = await mkdtemp(join(tmpdir(), "ops-int-"));
  try {
    await writeFile(
      join(folder, "two.yaml"),
      `name: two
on-failure: rollback
steps:
  - { id: slow, uses: shell.run, with: { command: [sh, -c, "touch begun; sleep 1; touch ended"], undo: ["true"] } }
  - { id: next, uses: shell.run, with: { command: [touch, next] } }
`,
    );
    await writeFile(join(folder, ".opsrc"), "state-dir: .ops\n");
    // A group of its own, as a shell gives it to a command in the foreground.
    const child = spawn(process.execPath, [join(projectRoot, "bin/ops"), "run", "two.yaml"], {
      cwd: folder,
      env: childEnvironment(),
      detached: true,
      stdio: "ignore",
    });
    const ended = new Promise<number | null>((resolve) => child.once("exit", resolve));
    while (!(await exists(join(folder, "begun")))) await delay(20);
    process.kill(-(child.pid ?? 0), "SIGINT");

    expect(await ended).toBe(130);
    expect(await exists(join(folder, "ended"))).toBe(true);
    expect(await exists(join(folder, "next"))).toBe(false);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});

async function exists(path: string): Promise<boolean> {
  return readFile(path).then(
    () => true,
    () => false,
  );
}
