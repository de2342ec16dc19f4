import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import { type DrillRecord, writeDrillRecord } from "../../src/archive/drill-record.ts";
import { checks } from "../../src/backup/checks.ts";
import type { OpsError } from "../../src/core/errors.ts";
import { FileStore } from "../../src/storage/file-store.ts";
import { perform, testContext } from "../support/context.ts";
import { promtool } from "../support/promtool.ts";
import { storeBackup } from "../support/stored-backups.ts";
import { operation } from "./backup-setting.ts";

const status = operation("backup.status");
const list = operation("backup.list");
const show = operation("backup.show");
const hold = operation("backup.hold");

const folders: string[] = [];
afterEach(async () => {
  for (const folder of folders.splice(0)) await rm(folder, { recursive: true, force: true });
});

const hour = 3_600_000;
const ago = (ms: number) => new Date(Date.now() - ms).toISOString();
const nowhere = { url: "postgresql://nobody@127.0.0.1:1/none" };

async function setting(
  stores: Record<string, object> = { local: {} },
  databases: object = { main: nowhere },
) {
  const directory = await mkdtemp(join(tmpdir(), "ops-status-"));
  folders.push(directory);
  const opened: Record<string, FileStore> = {};
  const settings: Record<string, object> = {};
  for (const [name, more] of Object.entries(stores)) {
    opened[name] = new FileStore(join(directory, name));
    settings[name] = { url: `file:${join(directory, name)}`, ...more };
  }
  const store = (name: string) => opened[name] ?? expect.fail(`there is no store ${name}`);
  return { directory, store, context: testContext({ databases, stores: settings }, { directory }) };
}

async function statusOf(context: Parameters<typeof perform>[1], input: object = {}) {
  const { output } = await perform(status, context, input);
  return { output, failure: status.failure?.(output) as OpsError | undefined };
}

describe("backup.status", () => {
  it("shows how each database stands in each store, and ends with 3 when one is overdue", async () => {
    const { store, context } = await setting(
      { local: {}, offsite: { expect: { "max-age": "8d" } } },
      { main: nowhere, billing: nowhere },
    );
    await storeBackup(store("local"), { at: ago(hour), bytes: 2000 });
    await storeBackup(store("local"), { at: ago(30 * hour), database: "billing" });
    await storeBackup(store("local"), { at: ago(2 * hour), environment: "staging", database: "billing" });
    await storeBackup(store("offsite"), { at: ago(100 * hour) });

    const { output, failure } = await statusOf(context);

    expect(output).toMatchObject({
      overdue: true,
      stores: [
        { store: "local", error: null },
        { store: "offsite", error: null },
      ],
      databases: [
        { database: "billing", store: "local", overdue: true, count: 1 },
        { database: "main", store: "local", overdue: false, bytes: 2000 },
        { database: "billing", store: "offsite", overdue: false, count: 0, warnings: [{ kind: "none" }] },
        { database: "main", store: "offsite", overdue: false, maxAgeMs: 8 * 24 * hour },
      ],
    });
    expect(failure).toMatchObject({
      code: "E_BACKUP_OVERDUE",
      exitCode: 3,
      message: expect.stringContaining("billing in local is 1d 6h old"),
    });
    expect((await statusOf(context, { database: "main", store: "local" })).failure).toBeUndefined();
  });

  it("warns of a store that has nothing of what another one has, in the file for Prometheus too", async () => {
    const { directory, store, context } = await setting(
      { local: {}, offsite: {}, other: { expect: { databases: [] } } },
      { main: nowhere },
    );
    await storeBackup(store("local"), { at: ago(hour) });

    const prometheus = join(directory, "ops.prom");
    const { output, failure } = await statusOf(context, { prometheus });

    expect((output as { databases: object[] }).databases).toMatchObject([
      { store: "local", warnings: [] },
      { store: "offsite", newest: null, overdue: false, warnings: [{ kind: "none" }] },
    ]);
    expect(failure).toBeUndefined();
    expect(status.render?.(output)).toMatch(/^! main in offsite: no backup\n {2}! none here, while another/m);
    const labels = '{environment="test",database="main",store="offsite"}';
    const lines = (await readFile(prometheus, "utf8")).split("\n");
    expect(lines).toEqual(
      expect.arrayContaining([
        `ops_backup_overdue${labels} 0`,
        `ops_backup_backups${labels} 0`,
        `ops_backup_warnings${labels} 1`,
      ]),
    );
  });

  it("takes a database without any backup for overdue, and what a store expects but does not have", async () => {
    const { store, context } = await setting(
      { local: {}, offsite: { expect: { databases: ["main"] } } },
      { main: nowhere, fresh: nowhere },
    );
    await storeBackup(store("local"), { at: ago(hour) });

    const { output, failure } = await statusOf(context);

    expect((output as { databases: object[] }).databases).toMatchObject([
      { database: "fresh", store: "local", newest: null, overdue: true },
      { database: "main", store: "local", overdue: false },
      { database: "main", store: "offsite", newest: null, overdue: true },
    ]);
    expect(failure?.message).toContain("main has none in offsite");
  });

  it("takes no backup of a part for the newest one, and says which are of a part", async () => {
    const { store, context } = await setting({ local: {} });
    const whole = await storeBackup(store("local"), { at: ago(30 * hour) });
    const part = await storeBackup(store("local"), { at: ago(hour), whole: false });

    const { output } = await statusOf(context);

    expect(output).toMatchObject({
      databases: [{ overdue: true, newest: { id: whole }, count: 1, parts: 1 }],
    });
    const age = await checks.find((each) => each.kind === "backup-age")?.measure(context, {});
    expect(age).toMatchObject({ evidence: { backup: whole } });
    const { output: latest } = await perform(show, context, {});
    expect(latest).toMatchObject({ id: whole, part: false });
    const listed = await perform(list, context, {});
    expect(list.render?.(listed.output as never)).toMatch(new RegExp(`${part}.*part`));
    await rm(join(context.environment.directory, "local", whole), { recursive: true });
    expect((await perform(show, context, {})).output).toMatchObject({ id: part, part: true });
  });

  it("shows the other stores where one cannot be read, and is no go", async () => {
    const { directory, store, context } = await setting({ local: {}, offsite: {} });
    await storeBackup(store("local"), { at: ago(hour) });
    await writeFile(join(directory, "offsite"), "no folder");

    const { output, failure } = await statusOf(context);

    expect(output).toMatchObject({
      stores: [{ error: null }, { store: "offsite", error: expect.stringContaining("cannot be used") }],
      databases: [{ database: "main", store: "local", overdue: false }],
    });
    expect(failure).toMatchObject({
      exitCode: 3,
      message: expect.stringContaining("store offsite cannot be read"),
    });
    expect(status.render?.(output)).toContain("✖ store offsite cannot be read");
  });

  it("is shown in 80 columns with the warnings and a line for each backup", async () => {
    const { store, context } = await setting();
    for (let index = 12; index > 0; index -= 1) {
      await storeBackup(store("local"), {
        at: ago(index * 24 * hour - hour * 23),
        bytes: index === 1 ? 1000 : 9000,
      });
    }

    const { output, failure } = await statusOf(context);
    const lines = status.render?.(output).split("\n") ?? [];

    expect(failure).toBeUndefined();
    expect(lines[0]).toBe("! main in local: newest 1h 00m old, limit 1d 1h");
    expect(lines).toContain("  ! the newest one is much smaller: 1000 B, 11% of the 8.8 KiB usual before");
    expect(lines.filter((line) => line.includes("#"))).toHaveLength(10);
    expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(80);
  });
});

describe("backup.status --prometheus", () => {
  it("writes a file that promtool finds nothing wrong with, whole, for everybody to read", async () => {
    const { directory, store, context } = await setting({ local: {}, "off-site": {} });
    await storeBackup(store("local"), { at: "2026-01-01T00:00:00Z", bytes: 4711, took: 1500 });
    await writeFile(join(directory, "off-site"), "no folder");
    const folder = join(directory, "metrics");
    await mkdir(folder);
    const file = join(folder, "ops.prom");
    await writeFile(file, "what was there before");

    await statusOf(context, { prometheus: file });

    const metrics = await readFile(file, "utf8");
    expect(await promtool(metrics)).toEqual({ code: 0, output: "" });
    const labels = 'environment="test",database="main",store="local"';
    expect(metrics).toContain(`ops_backup_last_success_timestamp_seconds{${labels}} 1767225600\n`);
    expect(metrics).toContain(`ops_backup_size_bytes{${labels}} 4711\n`);
    expect(metrics).toContain(`ops_backup_duration_seconds{${labels}} 1.5\n`);
    expect(metrics).toContain(`ops_backup_overdue{${labels}} 1\n`);
    expect(metrics).toContain('ops_backup_store_up{environment="test",store="off-site"} 0\n');
    expect(metrics.match(/^# HELP /gm)?.length).toBe(metrics.match(/^# TYPE /gm)?.length);
    expect(await readdir(folder)).toEqual(["ops.prom"]);
    expect((await stat(file)).mode & 0o777).toBe(0o644);
  });

  it("refuses a folder that is not there before it looks at anything", async () => {
    const { directory, context } = await setting();

    await expect(
      statusOf(context, { prometheus: join(directory, "none", "ops.prom") }),
    ).rejects.toMatchObject({
      code: "E_METRICS_FILE",
      exitCode: 2,
    });
  });
});

describe("backup.list and backup.show", () => {
  it("show holds, drills and what is broken", async () => {
    const { directory, store, context } = await setting();
    const broken = await storeBackup(store("local"), { at: ago(72 * hour) });
    const held = await storeBackup(store("local"), { at: ago(48 * hour) });
    const drilled = await storeBackup(store("local"), { at: ago(24 * hour) });
    await rm(join(directory, "local", broken, "dump.zst.age"));
    await perform(hold, context, { backup: held, reason: "case 4711" });
    await drill(store("local"), drilled, "fail", "2026-01-01T00:00:00Z");
    await drill(store("local"), drilled, "pass", "2026-01-02T00:00:00Z");
    await store("local").putIfAbsent(`drills/${held}-20260101T000000Z-zz.json`, Buffer.from("no record"));

    const { output } = await perform(list, context, {});
    const shown = list.render?.(output) ?? "";

    expect((output as { backups: object[] }).backups).toMatchObject([
      { id: drilled, drill: { verdict: "pass", at: "2026-01-02T00:00:00Z" }, hold: null },
      { id: held, hold: expect.stringContaining("case 4711"), drill: null },
      { id: broken, status: "broken", reason: `${broken}/dump.zst.age is missing` },
    ]);
    expect(shown).toMatch(/drilled\n.*held\n.*BROKEN\n {2}! .*is missing$/);
    const one = await perform(show, context, { backup: held });
    expect(one.output).toMatchObject({ id: held, objects: [{ bytes: 10 }], manifest: { id: held } });
    expect(show.render?.(one.output)).toMatch(/hold +legal hold by test@localhost.*case 4711/);
    expect((await perform(show, context, {})).output).toMatchObject({ id: drilled });
    await expect(perform(show, context, { backup: "none" })).rejects.toMatchObject({
      code: "E_BACKUP_MISSING",
    });
  });
});

describe("the checks of backups", () => {
  const check = (kind: string) => checks.find((each) => each.kind === kind) ?? expect.fail(kind);

  it("backup-age takes its limit from what the store expects", async () => {
    const { store, context } = await setting({ local: { expect: { "max-age": "1h" } } });
    await storeBackup(store("local"), { at: ago(2 * hour) });
    const age = check("backup-age");

    const measured = await age.measure(context, age.input.parse({}));

    expect(age.judge(measured, {}, {})).toMatchObject({
      status: "fail",
      reason: expect.stringContaining("> 1h 00m"),
    });
  });

  it("drill-age counts no drill of a part beside a whole backup, and records that do not say as before", async () => {
    const { store, context } = await setting();
    const age = check("drill-age");
    const input = age.input.parse({});
    const judged = async () => age.judge(await age.measure(context, input), input, {});
    const record = async (backup: string, at: string, whole?: boolean) =>
      writeDrillRecord(store("local"), { ...drillOf(backup, at), ...(whole === undefined ? {} : { whole }) });
    const part = await storeBackup(store("local"), { at: ago(4 * hour), whole: false });
    await record(part, ago(3 * hour), false);
    expect(await judged()).toMatchObject({ status: "pass" });

    const whole = await storeBackup(store("local"), { at: ago(5 * hour) });
    expect(await judged()).toMatchObject({
      status: "fail",
      reason: expect.stringContaining("no drill of the whole database in store local, only of a part of it"),
    });
    await record(whole, ago(10 * 24 * hour));
    expect(await judged()).toMatchObject({ status: "fail", reason: expect.stringContaining("10d") });
    await record(whole, ago(4 * hour), true);
    expect(await judged()).toMatchObject({ status: "pass", reason: expect.stringContaining("4h") });
  });

  it("backup-size compares the newest one with the median before it", async () => {
    const { store, context } = await setting();
    const size = check("backup-size");
    const judged = async () => size.judge(await size.measure(context, size.input.parse({})), {}, {});
    for (const days of [5, 4, 3])
      await storeBackup(store("local"), { at: ago(days * 24 * hour), bytes: 1000 });

    expect(await judged()).toEqual({ status: "pass", reason: "too few backups to compare" });
    await storeBackup(store("local"), { at: ago(hour), bytes: 400 });
    expect(await judged()).toEqual({
      status: "warn",
      reason: "newest backup has 40% of 1000 B, usual before, limit < 50%",
    });
  });
});

const drillOf = (backup: string, startedAt: string): DrillRecord => ({
  format: "ops-drill",
  version: 1,
  backup,
  environment: "test",
  database: "main",
  verdict: "pass",
  reason: null,
  startedAt,
  durationMs: 1000,
  restoreMs: 900,
  serverVersion: "15.4",
  dumpBytes: 40,
  databaseBytes: 4000,
  tables: 1,
  rows: 10,
  checks: [],
  run: null,
  actor: "test@localhost",
});

async function drill(store: FileStore, backup: string, verdict: string, startedAt: string): Promise<void> {
  const name = `drills/${backup}-${startedAt.replaceAll(/[-:]/g, "")}-ab12.json`;
  await store.putIfAbsent(
    name,
    Buffer.from(JSON.stringify({ format: "ops-drill", backup, verdict, startedAt })),
  );
}
