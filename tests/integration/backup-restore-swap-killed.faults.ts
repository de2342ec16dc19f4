import { spawn } from "node:child_process";
import { once } from "node:events";
import { text } from "node:stream/consumers";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Json } from "../../src/core/errors.ts";
import { bundledProgram } from "../support/bundled-program.ts";
import { perform, RecordingReport, testContext } from "../support/context.ts";
import { BackupSetting, operation } from "./backup-setting.ts";

const create = operation("backup.create");
const restore = operation("backup.restore");

const script = bundledProgram(new URL("./backup-attempt.ts", import.meta.url));
const preload = new URL("../support/kill-at-statement.mjs", import.meta.url).pathname;
const typed = { into: "shop", swap: true, "create-roles": true };

let setting: BackupSetting;
let settings: object;

beforeAll(async () => {
  setting = await BackupSetting.start();
  await setting.query("postgres", "CREATE ROLE shopkeeper");
  const made = await setting.prepare(
    "CREATE TABLE t AS SELECT i FROM generate_series(1, 3) i; ALTER TABLE t OWNER TO shopkeeper",
    "shop",
  );
  settings = made.settings;
  await perform(create, testContext(settings), {});
  await setting.query("shop", "ALTER TABLE t OWNER TO postgres; INSERT INTO t VALUES (4)");
  await setting.query("postgres", "DROP ROLE shopkeeper");
});
afterAll(() => setting.stop());

async function observed(): Promise<Json> {
  return JSON.parse(JSON.stringify(await restore.observe(testContext(settings), restore.input.parse(typed))));
}

/** Whether it was killed: not where it has fewer statements. */
async function isKilled(before: Json, statement: number, when: string): Promise<boolean> {
  const child = spawn(process.execPath, ["--import", preload, script()], {
    stdio: ["pipe", "ignore", "pipe"],
    env: { ...process.env, KILL_AT_STATEMENT: String(statement), KILL_WHEN: when },
  });
  const exited = once(child, "exit");
  child.stdin.end(JSON.stringify({ name: "backup.restore", settings, input: typed, before }));
  const said = await text(child.stderr);
  const [exitCode, signal] = await exited;
  if (signal === "SIGKILL") return true;
  expect(exitCode, said).toBe(0);
  return false;
}

const rows = async () =>
  (await setting.query<{ n: number }>("shop", "SELECT count(*)::int AS n FROM t"))[0]?.n;

/** Back to one database with 4 rows and nothing else. */
async function takenBack(before: Json): Promise<void> {
  const undone = await restore.undo?.(
    testContext(settings),
    restore.input.parse(typed),
    before,
    new RecordingReport(),
  );
  expect(undone).toMatchObject({ undone: true });
  expect(await rows()).toBe(4);
  for (const each of await setting.databases()) {
    if (/^shop_undone_/.test(each)) await setting.query("postgres", `DROP DATABASE "${each}"`);
  }
  expect(await setting.databases()).toEqual(["postgres", "shop", "template0", "template1"]);
  const hindered = "SELECT datname FROM pg_database WHERE NOT datallowconn AND datname <> 'template0'";
  expect(await setting.query("postgres", hindered)).toEqual([]);
  // It stays where the restored database, which is kept, belongs to it.
  await setting.query("postgres", "DROP ROLE IF EXISTS shopkeeper");
}

describe("backup.restore --swap killed at every statement", () => {
  for (const when of ["before", "sent", "after"]) {
    it(`${when} each: the name always leads to a whole database, resume finishes and rollback takes back`, async () => {
      let statement = 1;
      // Their number differs a little from run to run: while sessions are ended it asks again.
      for (; ; statement += 1) {
        const before = await observed();
        const killed = await isKilled(before, statement, when);

        expect(killed ? [3, 4] : [3], `killed ${when} statement ${statement}`).toContain(await rows());
        if (killed && statement % 2 === 0) {
          await restore.apply(
            testContext(settings),
            restore.input.parse(typed),
            before,
            new RecordingReport(),
          );
          expect(await rows()).toBe(3);
        }
        await takenBack(before);
        if (!killed) break;
      }
      expect(statement).toBeGreaterThan(15);
    }, 900_000);
  }
});
