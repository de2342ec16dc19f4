import { execFileSync } from "node:child_process";
import { stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { generateX25519Identity } from "age-encryption";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { checks } from "../../src/backup/checks.ts";
import { perform, RecordingReport, testContext } from "../support/context.ts";
import { BackupSetting, filesIn, operation, sampleSchema } from "./backup-setting.ts";

type Created = { id: string; bytes: number };
const create = operation("backup.create");
const list = operation("backup.list");
const verify = operation("backup.verify");
const restore = operation("backup.restore");

let setting: BackupSetting;
beforeAll(async () => {
  setting = await BackupSetting.start();
});
afterAll(() => setting.stop());

describe("a backup", () => {
  it("restores into a new database that is equal to the old one", async () => {
    const { database, settings } = await setting.prepare(sampleSchema);
    const context = testContext(settings);
    await perform(create, context, {});

    const { output } = await perform(restore, context, { into: "equal copy" });

    expect(output).toMatchObject({ into: "equal copy", tables: 3 });
    expect(setting.dump("equal copy")).toBe(setting.dump(database));
    const comment = await setting.query(
      "equal copy",
      "SELECT shobj_description(oid, 'pg_database') AS text FROM pg_database WHERE datname = current_database()",
    );
    expect(comment[0]?.text).toMatch(/^ops: restored from backup \d{8}T\d{6}Z-main-\w{4}/);
  });

  it("opens with stock age, zstd and pg_restore", async () => {
    const { settings, directory } = await setting.prepare(sampleSchema);
    const { output } = await perform(create, testContext(settings), {});
    const key = join(setting.folder, "stock-key");
    await writeFile(key, setting.identity, { mode: 0o600 });

    const file = join(directory, (output as Created).id, "dump.zst.age");
    const toc = execFileSync("bash", ["-c", 'age -d -i "$0" "$1" | zstd -d | pg_restore -l', key, file], {
      encoding: "utf8",
    });

    expect(toc).toContain("TABLE DATA public Küche; DROP");
  });

  it("has files that only their owner reads, and none of the plaintext in them", async () => {
    const { settings, directory } = await setting.prepare(
      "CREATE TABLE secret_plans AS SELECT 'attack at dawn'::text AS plan",
    );
    await perform(create, testContext(settings), {});

    const files = await filesIn(directory);

    expect(files.size).toBe(4);
    for (const [path, content] of files) {
      expect((await stat(path)).mode & 0o777).toBe(0o600);
      expect(content.includes("attack at dawn") || content.includes("secret_plans")).toBe(false);
    }
    expect((await stat(directory)).mode & 0o777).toBe(0o700);
  });

  it("is made of a database with an odd name, over a URL with a password of special characters", async () => {
    const odd = `a=b 'ü" %/?`;
    const { settings } = await setting.prepare("CREATE TABLE t AS SELECT 1 AS x", odd);
    await setting.query("postgres", `CREATE ROLE tricky SUPERUSER LOGIN PASSWORD 'p@:/?#%&=+ ''"ß'`);
    const url = new URL(settings.databases.main.url);
    url.username = "tricky";
    url.searchParams.set("sslmode", "disable");
    const tricky = {
      ...settings,
      databases: {
        main: { url: url.href.replace("tricky@", `tricky:${encodeURIComponent(`p@:/?#%&=+ '"ß`)}@`) },
      },
    };
    await perform(create, testContext(tricky), {});

    await perform(restore, testContext(tricky), { into: `${odd} again` });

    expect(await setting.query(`${odd} again`, "SELECT x FROM t")).toEqual([{ x: 1 }]);
  });

  it("stays when the run is taken back", async () => {
    const { settings } = await setting.prepare("CREATE TABLE t (x int)");
    const created = await perform(create, testContext(settings), {});

    expect(await created.undo()).toMatchObject({ undone: "kept" });
    const { output } = await perform(verify, testContext(settings), {});
    expect(output).toMatchObject({ verdict: "pass", entries: expect.any(Number) });
  });

  it("is not made anew when apply is called again after it was finished", async () => {
    const { settings } = await setting.prepare("CREATE TABLE t (x int)");
    const context = testContext(settings);
    const first = await perform(create, context, {});

    const again = await create.apply(context, create.input.parse({}), first.before, new RecordingReport());

    expect(again).toEqual(first.output);
  });

  it("needs a recipient and says how to get one", async () => {
    const { settings, store } = await setting.prepare("CREATE TABLE t (x int)");
    const context = testContext({ ...settings, stores: { local: { ...store, recipients: [] } } });

    await expect(perform(create, context, {})).rejects.toMatchObject({ code: "E_RECIPIENT", exitCode: 2 });
  });
});

describe("backup.list", () => {
  it("shows the newest first", async () => {
    const { settings } = await setting.prepare("CREATE TABLE t (x int)");
    const context = testContext(settings);
    const first = (await perform(create, context, {})).output as Created;
    await new Promise((resolve) => setTimeout(resolve, 1100));
    const second = (await perform(create, context, {})).output as Created;

    const { output } = await perform(list, context, {});

    expect((output as { backups: { id: string }[] }).backups.map((each) => each.id)).toEqual([
      second.id,
      first.id,
    ]);
    expect(list.render?.(output)).toContain(second.id);
  });
});

describe("backup.verify", () => {
  it("asks for an identity where the store has none, and tells a wrong one from damage", async () => {
    const { settings, store } = await setting.prepare("CREATE TABLE t (x int)");
    await perform(create, testContext(settings), {});
    const { identity: _, ...without } = store;
    const wrong = { ...store, identity: await generateX25519Identity() };

    const verifying = (each: object) =>
      perform(verify, testContext({ ...settings, stores: { local: each } }), {});

    await expect(verifying(without)).rejects.toMatchObject({
      code: "E_IDENTITY",
      message: expect.stringContaining("no identity"),
    });
    await expect(verifying(wrong)).rejects.toMatchObject({
      code: "E_IDENTITY",
      message: expect.stringContaining("other keys"),
    });
  });
});

describe("backup.restore", () => {
  it("refuses a database that exists and leaves it alone", async () => {
    const { settings, database } = await setting.prepare("CREATE TABLE t AS SELECT 7 AS x");
    await perform(create, testContext(settings), {});

    await expect(perform(restore, testContext(settings), { into: database })).rejects.toMatchObject({
      code: "E_DATABASE_EXISTS",
      exitCode: 2,
    });
    expect(await setting.query(database, "SELECT x FROM t")).toEqual([{ x: 7 }]);
  });

  it("is taken back by dropping what it made, and nothing that somebody else made", async () => {
    const { settings } = await setting.prepare("CREATE TABLE t (x int)");
    await perform(create, testContext(settings), {});
    const restored = await perform(restore, testContext(settings), { into: "made_by_run" });

    expect(await restored.undo()).toMatchObject({ undone: true });
    expect(await setting.databases()).not.toContain("made_by_run");
    expect(await restored.undo()).toMatchObject({ undone: true });

    await setting.query("postgres", "CREATE DATABASE made_by_run");
    expect(await restored.undo()).toMatchObject({ undone: false });
    expect(await setting.databases()).toContain("made_by_run");
  });

  it("begins again over the half-restored database of an attempt that was killed", async () => {
    const { settings } = await setting.prepare("CREATE TABLE t AS SELECT 7 AS x");
    const context = testContext(settings);
    await perform(create, context, {});
    const input = restore.input.parse({ into: "second_attempt" });
    const before = (await restore.observe(context, input)) as { scratch: string };
    await setting.query("postgres", `CREATE DATABASE ${before.scratch}`);
    await setting.query(before.scratch, "CREATE TABLE t (half text)");

    await restore.apply(context, input, before, new RecordingReport());

    expect(await setting.query("second_attempt", "SELECT x FROM t")).toEqual([{ x: 7 }]);
    expect(await setting.databases()).not.toContain(before.scratch);
    const again = await restore.apply(context, input, before, new RecordingReport());
    expect(again).toMatchObject({ into: "second_attempt" });
  });

  it("says which role is missing, and restores without owners when told to", async () => {
    await setting.query("postgres", "CREATE ROLE owner_of_t");
    const { settings, database } = await setting.prepare(
      "CREATE TABLE t (x int); ALTER TABLE t OWNER TO owner_of_t",
    );
    await perform(create, testContext(settings), {});
    await setting.query(database, "DROP TABLE t");
    await setting.query("postgres", "DROP ROLE owner_of_t");

    await expect(perform(restore, testContext(settings), { into: "owned" })).rejects.toMatchObject({
      code: "E_ROLE_MISSING",
    });
    expect(await setting.databases()).not.toContain("owned");
    const { output } = await perform(restore, testContext(settings), { into: "owned", owners: "skip" });
    expect(output).toMatchObject({ tables: 1 });
  });
});

describe("the check backup-age", () => {
  it("fails where there is no backup, passes with a fresh one and fails above its limit", async () => {
    const { settings } = await setting.prepare("CREATE TABLE t (x int)");
    const context = testContext(settings);
    const [check] = checks;
    if (check === undefined) throw new Error("there is no check");
    const input = check.input.parse({});

    const none = check.judge(await check.measure(context, input), input, {});
    await perform(create, context, {});
    const measured = await check.measure(context, input);
    const old = { value: 26 * 3_600_000, shown: "1d 2h" };

    expect(none).toEqual({ status: "fail", reason: "there is no backup in store local" });
    expect(check.judge(measured, input, {})).toMatchObject({ status: "pass" });
    expect(check.judge(old, input, {})).toEqual({
      status: "fail",
      reason: "newest backup is 1d 2h old, limit > 25h",
    });
  });
});
