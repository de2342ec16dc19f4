import { type ChildProcess, spawn } from "node:child_process";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { InterruptedError } from "../../../src/core/errors.ts";
import { postmasterPid } from "../../../src/postgres/cluster.ts";
import { perform, testContext } from "../../support/context.ts";
import { operation, until } from "./project.ts";

const runner = fileURLToPath(new URL("rehearsal-runner.ts", import.meta.url));
const migrateTest = operation("migrate.test");

/** A folder whose only migration takes longer than any test. */
async function slowFolder() {
  const directory = await mkdtemp(join(tmpdir(), "ops-int-"));
  await writeFile(join(directory, "0001_slow.up.sql"), "CREATE TABLE t (id int);\nSELECT pg_sleep(60);");
  return {
    directory,
    throwAway: join(directory, ".ops", "throw-away"),
    [Symbol.asyncDispose]: () => rm(directory, { recursive: true, force: true }),
  };
}

/** The data folder of the throw-away server, once it runs. */
async function runningServer(throwAway: string): Promise<{ data: string; pid: number }> {
  let found: { data: string; pid: number } | undefined;
  await until(async () => {
    for (const name of await readdir(throwAway).catch(() => [])) {
      const data = join(throwAway, name, "data");
      const pid = await postmasterPid(data);
      if (pid !== undefined) found = { data, pid };
    }
    return found !== undefined;
  });
  if (found === undefined) throw new Error("no server");
  return found;
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

test("Ctrl-C in the middle of a statement ends the test and removes its server and folder", async () => {
  await using folder = await slowFolder();
  const database = { url: "postgresql://nobody@127.0.0.1:1/none", migrations: folder.directory };
  const context = testContext({ databases: { main: database } }, { directory: folder.directory });
  const running = perform(migrateTest, context, {});
  const ended = expect(running).rejects.toThrow(InterruptedError);
  const { pid } = await runningServer(folder.throwAway);
  context.requestStop();
  await ended;
  await until(() => !isAlive(pid));
  expect(await readdir(folder.throwAway)).toEqual([]);
  expect(await readdir(join(folder.directory, ".ops"))).not.toContain("migration-tests");
});

test("a SIGKILL takes the server and its folder with it", async () => {
  await using folder = await slowFolder();
  const killed = start(folder.directory);
  const { pid } = await runningServer(folder.throwAway);
  killed.kill("SIGKILL");
  await until(() => killed.signalCode !== null);
  await until(() => !isAlive(pid));
  await until(async () => (await readdir(folder.throwAway)).length === 0);
});

test("a SIGKILL while the server is being made leaves nothing either", async () => {
  await using folder = await slowFolder();
  const killed = start(folder.directory);
  await until(async () => (await readdir(folder.throwAway).catch(() => [])).length > 0);
  killed.kill("SIGKILL");
  await until(() => killed.signalCode !== null);
  await until(async () => (await readdir(folder.throwAway)).length === 0);
});

test("what a SIGKILL of the watchdog too leaves behind is removed by the next test, and nobody else's", async () => {
  await using folder = await slowFolder();
  const killed = start(folder.directory);
  const { pid } = await runningServer(folder.throwAway);
  process.kill(await watchdogOf(killed.pid ?? 0), "SIGKILL");
  killed.kill("SIGKILL");
  await until(() => killed.signalCode !== null);
  expect(isAlive(pid)).toBe(true);

  const other = start(folder.directory);
  try {
    await until(() => !isAlive(pid));
    await until(async () => (await readdir(folder.throwAway)).length === 1);
    const second = await runningServer(folder.throwAway);
    await rm(join(folder.directory, "0001_slow.up.sql"));
    await writeFile(join(folder.directory, "0001_quick.up.sql"), "SELECT 1;");
    const database = { url: "postgresql://nobody@127.0.0.1:1/none", migrations: folder.directory };
    const context = testContext({ databases: { main: database } }, { directory: folder.directory });
    await perform(migrateTest, context, {});
    expect(isAlive(second.pid)).toBe(true);
  } finally {
    other.kill("SIGTERM");
    await until(() => other.exitCode !== null || other.signalCode !== null);
  }
  expect(await readdir(folder.throwAway)).toEqual([]);
});

async function watchdogOf(parent: number): Promise<number> {
  const children = (await readFile(`/proc/${parent}/task/${parent}/children`, "utf8")).trim().split(" ");
  for (const pid of children) {
    if ((await readFile(`/proc/${pid}/cmdline`, "utf8")).includes("ops-watchdog")) return Number(pid);
  }
  throw new Error("there is no watchdog");
}

/** A process of its own; SIGTERM asks it to stop. */
function start(directory: string): ChildProcess {
  return spawn(process.execPath, [runner, directory], { stdio: "ignore" });
}
