import pg from "pg";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { renameTogether } from "../../src/backup/swap.ts";
import type { Json } from "../../src/core/errors.ts";
import { perform, RecordingReport, testContext } from "../support/context.ts";
import { BackupSetting, operation } from "./backup-setting.ts";

const create = operation("backup.create");
const restore = operation("backup.restore");

type Before = { scratch: string; old: { oid: number; keptAs: string; undoneAs: string } };

let setting: BackupSetting;
beforeAll(async () => {
  setting = await BackupSetting.start({ max_prepared_transactions: "2" });
});
afterAll(() => setting.stop());

/** A database whose backup has 3 rows, and which has 4 now. */
async function changedSinceBackup(name: string) {
  const prepared = await setting.prepare("CREATE TABLE t AS SELECT i FROM generate_series(1, 3) i", name);
  await perform(create, testContext(prepared.settings), {});
  await setting.query(name, "INSERT INTO t VALUES (4)");
  return prepared;
}

const rowsOf = async (database: string) =>
  (await setting.query<{ n: number }>(database, "SELECT count(*)::int AS n FROM t"))[0]?.n;

async function oidOf(database: string): Promise<number | undefined> {
  const sql = `SELECT oid::int8::float8 AS oid FROM pg_database WHERE datname = ${pg.escapeLiteral(database)}`;
  return (await setting.query<{ oid: number }>("postgres", sql))[0]?.oid;
}

async function connected(database: string, user = "postgres"): Promise<pg.Client> {
  const client = new pg.Client({ host: "127.0.0.1", port: setting.cluster.port, user, database });
  client.on("error", () => undefined);
  await client.connect();
  return client;
}

describe("backup.restore --swap", () => {
  it("puts the restored database in the place of the old one, which is kept, and takes it back", async () => {
    const { settings } = await changedSinceBackup("shop");
    const oid = await oidOf("shop");
    const done = await perform(restore, testContext(settings), { into: "shop", swap: true });
    const { old } = done.before as Before;

    expect(done.changes.map((each) => each.action)).toEqual(["update"]);
    expect(done.output).toMatchObject({ into: "shop", keptAs: old.keptAs, tables: 1 });
    expect(old.keptAs).toMatch(/^shop_before_\d{8}T\d{6}Z$/);
    expect([await rowsOf("shop"), await rowsOf(old.keptAs)]).toEqual([3, 4]);

    await setting.query("shop", "INSERT INTO t VALUES (5), (6), (7)");
    expect(await done.undo()).toMatchObject({ undone: true, note: expect.stringContaining(old.undoneAs) });
    expect([await oidOf("shop"), await rowsOf("shop"), await rowsOf(old.undoneAs)]).toEqual([oid, 4, 6]);
    expect(await done.undo()).toEqual({ undone: true });
  });

  it("replaces the database that the URL itself connects to, whatever it is called", async () => {
    const long = `${"ü".repeat(31)}x`;
    expect(Buffer.byteLength(long)).toBe(63);
    const { settings } = await changedSinceBackup(long);

    const done = await perform(restore, testContext(settings), { into: long, swap: true });

    const { old } = done.before as Before;
    expect(Buffer.byteLength(old.keptAs)).toBeLessThanOrEqual(63);
    expect([await rowsOf(long), await rowsOf(old.keptAs)]).toEqual([3, 4]);
  });

  it("replaces the database postgres, which it otherwise works from", async () => {
    const { settings } = await changedSinceBackup("beside_postgres");
    const done = await perform(restore, testContext(settings), { into: "postgres", swap: true });
    const client = await connected("template1");
    const { rows } = await client.query("SELECT datname FROM pg_database WHERE datname LIKE 'postgres%'");
    await client.end();
    expect(rows.map((each) => each.datname).sort()).toEqual(["postgres", (done.before as Before).old.keptAs]);

    expect(await done.undo()).toMatchObject({ undone: true });
  });

  it("ends the sessions that are connected and says whose, and new ones are soon let in again", async () => {
    const { settings } = await changedSinceBackup("busy");
    await setting.query("postgres", "CREATE ROLE visitor LOGIN SUPERUSER");
    const clients = [await connected("busy"), await connected("busy", "visitor")];
    const [client] = clients;
    await client?.query("BEGIN; INSERT INTO t VALUES (9)");
    let trying = true;
    const failures: unknown[] = [];
    const newcomer = (async () => {
      while (trying) {
        const next = await connected("busy").catch((error: unknown) => void failures.push(error));
        await next?.end().catch(() => undefined);
      }
    })();

    const done = await perform(restore, testContext(settings), { into: "busy", swap: true });
    trying = false;
    await newcomer;

    expect((done.output as { endedSessions: number }).endedSessions).toBeGreaterThanOrEqual(2);
    expect(done.report.lines.join("\n")).toMatch(/ended: visitor from 127\.0\.0\.1, pid \d+/);
    await expect(client?.query("SELECT 1")).rejects.toThrow();
    expect(await rowsOf("busy")).toBe(3);
  });

  it("gives up in time where sessions may not be ended, and changes nothing until it is resumed", async () => {
    const { settings } = await changedSinceBackup("guarded");
    await setting.query("guarded", "BEGIN; INSERT INTO t VALUES (8); PREPARE TRANSACTION 'stuck'");
    const context = testContext(settings);
    const input = restore.input.parse({ into: "guarded", swap: true, "swap-timeout": "1s" });
    const before = JSON.parse(JSON.stringify(await restore.observe(context, input))) as Json;
    const { scratch, old } = before as unknown as Before;

    await expect(restore.apply(context, input, before, new RecordingReport())).rejects.toMatchObject({
      code: "E_DATABASE_IN_USE",
      message: expect.stringContaining("prepared transaction"),
    });
    expect(await oidOf("guarded")).toBe(old.oid);
    expect(await rowsOf("guarded")).toBe(4);
    expect(await setting.databases()).toContain(scratch);

    await setting.query("guarded", "ROLLBACK PREPARED 'stuck'");
    const scratchOid = await oidOf(scratch);
    await restore.apply(context, input, before, new RecordingReport());
    // What was ready is not restored a second time.
    expect(await oidOf("guarded")).toBe(scratchOid);
  });

  it("changes nothing where the restored database does not pass the checks", async () => {
    const { settings } = await changedSinceBackup("checked");
    const attempt = (checks: string[]) =>
      perform(restore, testContext(settings), { into: "checked", swap: true, checks });

    await expect(attempt(["SELECT count(*) = 4 FROM t"])).rejects.toMatchObject({
      code: "E_RESTORE_CHECK",
      message: expect.stringContaining("this does not hold: SELECT count(*) = 4 FROM t"),
    });
    expect(await rowsOf("checked")).toBe(4);
    expect((await setting.databases()).filter((each) => each.startsWith("ops_restore_"))).toEqual([]);
    await attempt(["SELECT count(*) = 3 FROM t"]);
    expect(await rowsOf("checked")).toBe(3);
  });

  it("drops the old database only when told to, and then there is no way back", async () => {
    const { settings } = await changedSinceBackup("dropped");
    const done = await perform(restore, testContext(settings), {
      into: "dropped",
      swap: true,
      "drop-old": true,
    });

    expect(done.changes.map((each) => each.action)).toEqual(["update", "delete"]);
    expect(await setting.databases()).not.toContain((done.before as Before).old.keptAs);
    expect(await done.undo()).toMatchObject({ undone: false });
    expect(await rowsOf("dropped")).toBe(3);
  });

  it("lets one of two at once win, and the other one change nothing", async () => {
    const { settings } = await changedSinceBackup("raced");
    const context = testContext(settings);
    const input = restore.input.parse({ into: "raced", swap: true });
    const befores = [await restore.observe(context, input), await restore.observe(context, input)];

    const results = await Promise.allSettled(
      befores.map((before) => restore.apply(context, input, before, new RecordingReport())),
    );

    expect(results.map((each) => each.status).sort()).toEqual(["fulfilled", "rejected"]);
    const lost = results.find((each) => each.status === "rejected");
    expect(lost?.reason).toMatchObject({ code: "E_DATABASE_CHANGED" });
    expect(await rowsOf("raced")).toBe(3);
    const loser = befores[results.findIndex((each) => each.status === "rejected")] as Json;
    expect(await restore.undo?.(context, input, loser, new RecordingReport())).toMatchObject({
      undone: false,
    });
    expect((await setting.databases()).filter((each) => each.startsWith("ops_restore_"))).toEqual([]);
    expect(await rowsOf("raced")).toBe(3);
  });

  it("ends nobody's session in a database that has got the name meanwhile", async () => {
    await setting.query("postgres", "CREATE DATABASE taken");
    const somebody = await connected("taken");
    const { settings } = await setting.prepare("SELECT 1", "elsewhere");
    const target = testContext(settings).environment.database("main");

    const renaming = renameTogether(target, [{ from: "taken", to: "taken_before", oid: 1 }], {
      timeout: 2000,
      signal: new AbortController().signal,
      sessionName: "ops test",
    });

    await expect(renaming).rejects.toMatchObject({ code: "E_DATABASE_CHANGED" });
    expect((await somebody.query("SELECT 1 AS one")).rows).toEqual([{ one: 1 }]);
    await somebody.end();
  });

  it("wants a database that is there, and refuses to replace it with a few tables", async () => {
    const { settings } = await changedSinceBackup("present");
    const observing = (input: object) => perform(restore, testContext(settings), { swap: true, ...input });

    await expect(observing({ into: "absent" })).rejects.toMatchObject({
      code: "E_DATABASE_MISSING",
      exitCode: 2,
    });
    await expect(observing({ into: "present", tables: ["t"] })).rejects.toMatchObject({ code: "E_INPUT" });
    await expect(observing({ into: "new", swap: false, "drop-old": true })).rejects.toMatchObject({
      code: "E_INPUT",
      exitCode: 2,
    });
  });
});
