import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { requireAccepted } from "../../../src/cli/accepted-command.ts";

describe("a command line that is to begin later, with nobody there", () => {
  let directory: string;
  beforeAll(() => {
    directory = mkdtempSync(join(tmpdir(), "ops-accepted-"));
    const runbook = (name: string, uses: string) =>
      writeFileSync(join(directory, name), `name: back\nsteps:\n  - { id: one, ${uses} }\n`);
    runbook("back.yaml", 'uses: shell.run, with: { command: ["true"] }');
    runbook("gone.yaml", "uses: backup.prune, with: { store: offsite, database: main }");
    runbook("wrong.yaml", "uses: shell.rum");
  });
  afterAll(() => rmSync(directory, { recursive: true, force: true }));
  const accepted = (words: string) =>
    requireAccepted({ directory, stateDirectory: join(directory, ".ops") }, words.split(" "));

  test.each([
    "traffic abort web --reason watched",
    "flag kill checkout --reason watched",
    "run back.yaml",
    "run gone.yaml --yes",
    "backup prune --database main --yes",
    "gate check release",
  ])("ops %s is taken", async (words) => {
    await expect(accepted(words)).resolves.toBeUndefined();
  });

  test.each([
    ["runs rollbak 20260101-000000-abcd", "E_USAGE", "unknown command 'rollbak'"],
    ["rnus rollback last", "E_USAGE", "unknown command 'rnus'"],
    ["runs rollback", "E_USAGE", "missing required argument"],
    ["runs rollback 20260101-000000-abcd", "E_RUN_UNKNOWN", 'There is no run "20260101-000000-abcd"'],
    ["runs rollback 20260101-000000-abcd --force", "E_USAGE", "unknown option '--force'"],
    ["flag set checkout --rollout many", "E_USAGE", "--rollout"],
    ["backup prune --database main", "E_CONFIRM", "nobody will be there to ask"],
    ["run gone.yaml", "E_CONFIRM", "ops run destroys"],
    ["run wrong.yaml", "E_RUNBOOK", "shell.rum"],
    ["run none.yaml", "E_RUNBOOK_FILE", "cannot be read"],
    ["runs --help", "E_USAGE", "nothing but print"],
    ["runs", "E_USAGE", "nothing but print"],
  ])("ops %s is refused", async (words, code, message) => {
    await expect(accepted(words)).rejects.toMatchObject({
      code,
      exitCode: 2,
      message: expect.stringContaining(message),
    });
  });
});
