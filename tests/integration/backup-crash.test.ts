import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { readdir, readFile } from "node:fs/promises";
import { text } from "node:stream/consumers";
import { setTimeout as delay } from "node:timers/promises";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import type { Json } from "../../src/core/errors.ts";
import { bundledProgram } from "../support/bundled-program.ts";
import { perform, RecordingReport, testContext } from "../support/context.ts";
import { BackupSetting, filesIn, operation } from "./backup-setting.ts";

const create = operation("backup.create");
const list = operation("backup.list");
const restore = operation("backup.restore");
const verify = operation("backup.verify");

let setting: BackupSetting;
const attempts: ChildProcess[] = [];
beforeAll(async () => {
  setting = await BackupSetting.start();
});
afterEach(() => {
  for (const child of attempts.splice(0)) child.kill("SIGKILL");
});
afterAll(() => setting.stop());

const script = bundledProgram(new URL("./backup-attempt.ts", import.meta.url));

function startAttempt(name: string, settings: object, input: object, before: Json): ChildProcess {
  const child = spawn(process.execPath, [script()], { stdio: ["pipe", "pipe", "inherit"] });
  attempts.push(child);
  child.stdin?.end(JSON.stringify({ name, settings, input, before }));
  return child;
}

/** Made once, and then copied: it is far more than a frame of zstd, in which a copy would show. */
const distinctRows = 50_000;

/** A table of 320 digits a row, which compress to their half. `rows`: so many times `distinctRows`. */
function bigTable(rows: number): string {
  const noise = ["sha512('a'", "sha512('b'", "sha256('c'"]
    .map((digest) => `encode(${digest} || i::text::bytea), 'hex')`)
    .join(" || ");
  const made = `CREATE TABLE big AS SELECT i, ${noise} AS noise FROM generate_series(1, ${distinctRows}) i;`;
  const copies = Array.from(
    { length: rows / distinctRows - 1 },
    (_, copy) =>
      `INSERT INTO big SELECT i + ${(copy + 1) * distinctRows}, noise FROM big WHERE i <= ${distinctRows};`,
  );
  return [made, ...copies].join("\n");
}

async function listed(settings: object): Promise<number> {
  const { output } = await perform(list, testContext(settings), {});
  return (output as { backups: unknown[] }).backups.length;
}

describe("backup.create killed with SIGKILL", () => {
  it("lists nothing, leaves nothing but what undo removes, and finishes when it is resumed", async () => {
    const { settings, directory } = await setting.prepare(bigTable(200_000));
    const context = testContext(settings);
    const input = create.input.parse({});
    const whole = await timeOfAttempt(settings, await create.observe(context, input));
    let already = await listed(settings);

    for (const share of [0.05, 0.2, 0.35, 0.5, 0.65, 0.8, 0.95]) {
      const before = await create.observe(context, input);
      const child = startAttempt("backup.create", settings, {}, before);
      const exit = once(child, "exit");
      await delay(whole * share);
      child.kill("SIGKILL");
      const [exitCode] = await exit;
      // It was quicker than the first one: done before the kill, or killed between its manifest and its end.
      if (exitCode === 0 || (await listed(settings)) === already + 1) {
        expect((await perform(verify, context, {})).output).toMatchObject({
          id: (before as { id: string }).id,
        });
        already += 1;
        continue;
      }

      expect(await listed(settings), `killed after ${share} of the time`).toBe(already);
      const undo = await create.undo?.(context, input, before, new RecordingReport());
      expect(undo).toMatchObject({ undone: true });
      expect((await filesIn(directory)).size).toBe(4 * already);
    }

    const before = await create.observe(context, input);
    const child = startAttempt("backup.create", settings, {}, before);
    const exit = once(child, "exit");
    await delay(whole / 2);
    child.kill("SIGKILL");
    await exit;
    const output = await create.apply(context, input, before, new RecordingReport());
    expect(output).toMatchObject({ id: (before as { id: string }).id });
    expect(await listed(settings)).toBe(already + 1);
    expect((await perform(verify, context, {})).output).toMatchObject({ verdict: "pass" });
    expect([...(await filesIn(directory)).keys()].filter((file) => file.endsWith(".partial"))).toEqual([]);
  }, 180_000);

  async function timeOfAttempt(settings: object, before: Json): Promise<number> {
    const begin = performance.now();
    await once(startAttempt("backup.create", settings, {}, before), "exit");
    return performance.now() - begin;
  }
});

describe("backup.restore killed with SIGKILL", () => {
  it("leaves no database of the wanted name, and finishes when it is resumed", async () => {
    const { settings, database } = await setting.prepare(bigTable(100_000));
    const context = testContext(settings);
    await perform(create, context, {});
    const input = restore.input.parse({ into: "after_crash" });
    const before = await restore.observe(context, input);

    for (const wait of [150, 300, 450, 600, 800]) {
      const child = startAttempt("backup.restore", settings, { into: "after_crash" }, before);
      const exit = once(child, "exit");
      await delay(wait);
      child.kill("SIGKILL");
      await exit;
      const names = await setting.databases();
      // Present only when the attempt was quick enough to finish.
      if (names.includes("after_crash")) {
        expect(await setting.query("after_crash", "SELECT count(*)::int AS n FROM big")).toEqual([
          { n: 100_000 },
        ]);
      }
    }
    await restore.apply(context, input, before, new RecordingReport());

    expect(setting.dump("after_crash")).toBe(setting.dump(database));
    const undone = await restore.undo?.(context, input, before, new RecordingReport());
    expect(undone).toMatchObject({ undone: true });
    expect((await setting.databases()).filter((name) => /^ops_restore|after_crash/.test(name))).toEqual([]);
  }, 120_000);
});

describe("backup.create", () => {
  it("stays below 250 MiB of memory and shows no secret to ps, with 300 MB and more to dump", async () => {
    const { settings } = await setting.prepare(bigTable(950_000));
    await setting.query("postgres", "CREATE ROLE dumper SUPERUSER LOGIN PASSWORD 'hunter2-hunter2'");
    const url = settings.databases.main.url.replace(/\/\/[^@]*@/, "//dumper:hunter2-hunter2@");
    const secretive = { ...settings, databases: { main: { url } } };
    const before = await create.observe(testContext(secretive), create.input.parse({}));

    const child = startAttempt("backup.create", secretive, {}, before);
    const exited = once(child, "exit");
    const result = child.stdout === null ? "" : text(child.stdout);
    const seen = new Set<string>();
    while (child.exitCode === null) {
      for (const line of await commandLines()) seen.add(line);
      await delay(50);
    }
    await exited;

    const { output, maxRss } = JSON.parse(await result);
    expect(output.dumpBytes).toBeGreaterThan(300_000_000);
    expect(maxRss / 1024).toBeLessThan(250);
    const all = [...seen].join("\n");
    expect(all).toContain("--format=custom");
    expect(all).not.toContain("hunter2");
    expect(all).not.toContain("AGE-SECRET-KEY");
  }, 180_000);

  it("fails and is not listed when the server ends the connection in the middle", async () => {
    const { settings, directory, database } = await setting.prepare(bigTable(300_000));
    const context = testContext(settings);
    const attempt = perform(create, context, {}).then(
      () => "done",
      (error: unknown) => error,
    );

    await terminateDump(database);

    expect(await attempt).toMatchObject({ code: "E_PROGRAM_FAILED", exitCode: 1 });
    expect(await listed(settings)).toBe(0);
    expect((await filesIn(directory)).size).toBe(0);
  });

  it("ends at the first Ctrl-C, leaves nothing, and can be resumed", async () => {
    const { settings, directory } = await setting.prepare(bigTable(300_000));
    const context = testContext(settings);
    const input = create.input.parse({});
    const before = await create.observe(context, input);
    const attempt = create.apply(context, input, before, new RecordingReport());
    await expect.poll(() => existsSync(directory), { timeout: 30_000 }).toBe(true);
    context.requestStop();

    await expect(attempt).rejects.toMatchObject({ code: "E_INTERRUPTED", exitCode: 130 });

    expect((await filesIn(directory)).size).toBe(0);
    await create.apply(testContext(settings), input, before, new RecordingReport());
    expect(await listed(settings)).toBe(1);
  });
});

/** Waits until pg_dump copies the big table, then ends its connection. */
async function terminateDump(database: string): Promise<void> {
  for (let attempt = 0; attempt < 500; attempt += 1) {
    const ended = await setting.query(
      "postgres",
      `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
        WHERE datname = '${database}' AND query LIKE 'COPY public.big%' AND state = 'active'`,
    );
    if (ended.length > 0) return;
    await delay(5);
  }
  throw new Error("pg_dump was never seen copying the table");
}

async function commandLines(): Promise<string[]> {
  const pids = (await readdir("/proc")).filter((each) => /^\d+$/.test(each));
  const lines = await Promise.all(
    // A process may end between the two reads.
    pids.map((pid) => readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => "")),
  );
  return lines.map((line) => line.replaceAll("\0", " "));
}
