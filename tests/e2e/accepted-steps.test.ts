import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { ops } from "../support/ops.ts";

let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "ops-accepted-"));
  await writeFile(join(folder, ".opsrc"), "state-dir: .ops\n");
  await writeFile(
    join(folder, "two.yaml"),
    `name: two
steps:
  - { id: first, uses: shell.run, with: { command: [touch, first] } }
  - { id: second, uses: shell.run, with: { command: ["false"] } }
`,
  );
});
afterEach(() => rm(folder, { recursive: true, force: true }));

it("a run that needs a person ends with the command that it names", async () => {
  expect((await ops(["run", "two.yaml", "--yes"], { cwd: folder })).exitCode).toBe(1);
  const stuck = await ops(["runs", "rollback", "last", "--yes"], { cwd: folder });
  const shown = `${stuck.stdout}${stuck.stderr}`;
  expect(stuck.exitCode, shown).toBe(5);
  const [, named = ""] = /ops (runs rollback \S+ --accept .*)/.exec(shown) ?? [];
  const accepted = await ops([...named.trim().split(" "), "--yes"], { cwd: folder });

  expect(accepted.exitCode, accepted.stderr).toBe(0);
  const { stdout } = await ops(["runs", "show", "last", "--json"], { cwd: folder });
  expect(JSON.parse(stdout).status).toBe("rolled-back");
});
