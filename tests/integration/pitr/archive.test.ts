import { existsSync } from "node:fs";
import { mkdir, readdir, readFile, rename, rm, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { checks } from "../../../src/pitr/checks.ts";
import { postmasterPid, stopCluster } from "../../../src/postgres/cluster.ts";
import { perform } from "../../support/context.ts";
import { measuredCheck } from "../../support/measured-check.ts";
import { startOps } from "../../support/ops.ts";
import { promtool } from "../../support/promtool.ts";
import { until } from "../wal/setting.ts";
import { operation, PitrSetting, queryPort } from "./setting.ts";

let setting: PitrSetting;
let base: string;

beforeAll(async () => {
  setting = await PitrSetting.start();
  await setting.wal.query("CREATE TABLE many AS SELECT n, md5(n::text) FROM generate_series(1, 200000) n");
  base = await setting.base();
  await setting.wal.query("INSERT INTO many VALUES (200001, 'later')");
  const own = await setting.wal.fillSegments(2);
  for (const each of own) await until(() => setting.wal.isInStore(each), "the segments");
}, 120_000);
afterAll(() => setting.stop());

const restore = (input: object, folder = setting.newFolder()) =>
  operation("pitr.restore").observe(
    setting.context(),
    operation("pitr.restore").input.parse({ "target-dir": folder, ...input }),
  );

describe("what can be restored", () => {
  it("is shown by the list and the window, and measured by the check", async () => {
    const listed = await perform(operation("pitr.base.list"), setting.context(), {});
    const file = setting.wal.path("ops.prom");
    const shown = await perform(operation("pitr.window"), setting.context(), { prometheus: file });
    const metrics = await readFile(file, "utf8");
    const window = { kind: "pitr-window", with: { database: "main" }, fail: "< 0s" };
    const measured = await measuredCheck(setting.context(), checks, window);

    expect(listed.output).toMatchObject({ bases: [{ id: base, status: "complete", timeline: 1 }] });
    expect(shown.output).toMatchObject({
      windows: [{ timeline: 1, bases: [base], missing: null }],
      useless: [],
    });
    expect(measured).toMatchObject({ status: "pass", value: expect.any(Number) });
    expect(measured.value).toBeGreaterThan(0);
    expect(await promtool(metrics)).toEqual({ code: 0, output: "" });
    const labels = 'environment="default",database="main",store="store"';
    expect(metrics).toContain(`ops_pitr_base_backups{${labels}} 1\n`);
    const { from } = (shown.output as { windows: { from: string }[] }).windows[0] ?? { from: "" };
    expect(metrics).toContain(
      `ops_pitr_window_begin_timestamp_seconds{${labels}} ${Date.parse(from) / 1000}\n`,
    );
  });

  it("ends where the archive ends, however far the server has come since", async () => {
    const [check] = checks;
    if (check === undefined) throw new Error("there is no check");
    const judged = async () => check.judge(await check.measure(setting.context(), {}), {}, {});
    const own = await setting.wal.fillSegments(2);
    for (const each of own) await until(() => setting.wal.isInStore(each), "the segments");
    await expect(judged()).resolves.toMatchObject({ status: "pass" });
    const object = (name: string) => setting.wal.path("store/pitr/main/wal/00000001", `${name}.zst.age`);
    const daysAgo = new Date(Date.now() - 5 * 86_400_000);
    for (const each of own) await rename(object(each), setting.wal.path(each));
    await utimes(setting.wal.inPgWal(own[0] ?? ""), daysAgo, daysAgo);
    const { output } = await perform(operation("pitr.window"), setting.context(), {});
    const ended = await judged();
    for (const each of own) await rename(setting.wal.path(each), object(each));

    expect(ended).toMatchObject({
      status: "fail",
      reason: expect.stringMatching(
        `^the window ended 5d 0h ago: the archive lacks WAL ${own[0]} and 1 behind`,
      ),
    });
    expect(output).toMatchObject({ end: { missing: expect.stringContaining(own[0] ?? "") } });
  });

  it("a position at the very end is no target: the replay stops at a record behind it", async () => {
    const { windows } = (await perform(operation("pitr.window"), setting.context(), {})).output as {
      windows: { untilLsn: string }[];
    };

    await expect(restore({ "to-lsn": windows[0]?.untilLsn })).rejects.toMatchObject({
      code: "E_RESTORE_TARGET",
      hint: expect.stringContaining("--latest"),
    });
  });

  it.each([
    [{ "to-time": "2020-01-01T00:00:00Z" }, /before the oldest base backup/],
    [{ "to-time": "2999-01-01T00:00:00Z" }, /in the future/],
    [{ "to-lsn": "FF/0" }, /the archive ends at 0\/[0-9A-F]+/],
    [{ "to-lsn": "0/28" }, /before the oldest base backup/],
    [{ "to-xid": "3" }, /before the oldest base backup/],
    [{ latest: true, timeline: 7 }, /no timeline 7/],
  ])("a moment outside of it is refused with the nearest ones: %j", async (input, why) => {
    await expect(restore(input)).rejects.toMatchObject({
      code: "E_RESTORE_TARGET",
      exitCode: 2,
      message: expect.stringMatching(why),
    });
  });

  it.each([
    [{ "to-time": "2026-11-21 14:31:59" }, "E_INPUT"],
    [{ "to-lsn": "here" }, "E_WAL_LSN"],
    [{ "to-xid": "x" }, "E_INPUT"],
    [{}, "E_INPUT"],
    [{ latest: true, "to-lsn": "0/1" }, "E_INPUT"],
    [{ latest: true, action: "pause" }, "E_INPUT"],
  ])("no moment at all is refused: %j", async (input, code) => {
    await expect(restore(input)).rejects.toMatchObject({ code, exitCode: 2 });
  });

  it("a folder with something in it is left as it is", async () => {
    const folder = setting.newFolder();
    await mkdir(folder);
    await writeFile(join(folder, "mine"), "mine");

    await expect(restore({ latest: true }, folder)).rejects.toMatchObject({ code: "E_RESTORE_FOLDER" });
    expect(await readdir(folder)).toEqual(["mine"]);
  });
});

describe("a restore point that the archive does not know", () => {
  it("may be before the base backup, which the error says", async () => {
    await expect(setting.restore({ "to-name": "nowhere" })).rejects.toMatchObject({
      code: "E_RESTORE_TARGET",
      hint: expect.stringContaining("--base"),
    });
  }, 60_000);
});

describe("a moment behind the last transaction of the archive", () => {
  it("is refused with the time of that transaction once the WAL is replayed; undo leaves nothing", async () => {
    const folder = setting.newFolder();
    const chosen = operation("pitr.restore");
    const input = chosen.input.parse({
      "target-dir": folder,
      "to-time": new Date().toISOString(),
      "restore-command": setting.stockFetch,
      start: true,
    });
    const before = await chosen.observe(setting.context(), input);
    expect(chosen.notes?.(before, input)).toEqual([expect.stringContaining("shows only in the replay")]);
    const report = {
      progress: () => undefined,
      log: () => undefined,
      checkpoint: async () => undefined,
      last: undefined,
    };

    await expect(chosen.apply(setting.context(), input, before, report)).rejects.toMatchObject({
      code: "E_RESTORE_TARGET",
      message: expect.stringMatching(/its last transaction is of \d{4}-/),
    });
    expect(await chosen.undo?.(setting.context(), input, before, report)).toMatchObject({ undone: true });
    const left = (await readdir(setting.wal.folder)).filter((each) =>
      join(setting.wal.folder, each).startsWith(folder),
    );
    expect(left).toEqual([]);
  }, 60_000);
});

describe("a restore killed with SIGKILL", () => {
  it("goes on when it is resumed", async () => {
    const folder = setting.newFolder();
    const options = { config: setting.wal.config, cwd: setting.wal.folder };
    const args = ["pitr", "restore", "--latest", "--start", "--yes", "--target-dir", folder];
    const killed = startOps(args, options);
    await until(async () => existsSync(join(folder, "base")), "the first files");
    killed.child.kill("SIGKILL");
    await killed.result;

    const resumed = await startOps(["runs", "resume", "last", "--yes"], options).result;

    expect(resumed.stderr + resumed.stdout).toContain("runs on 127.0.0.1");
    const port = Number((await readFile(join(folder, "postmaster.pid"), "utf8")).split("\n")[3]);
    expect(await queryPort(port, "SELECT count(*)::int AS n FROM many")).toEqual([{ n: 200_001 }]);
    await stopCluster(folder);
    expect(await postmasterPid(folder)).toBeUndefined();
  }, 60_000);
});

describe("damage", () => {
  it("a base backup without its first segment is not complete, though the archive has its .backup file", async () => {
    const folder = setting.wal.path("store/pitr/main/wal/00000001");
    const note = (await readdir(folder)).find((each) => each.includes(".backup.")) ?? "";
    const object = `${note.slice(0, 24)}.zst.age`;
    await rename(join(folder, object), setting.wal.path("taken"));
    try {
      const { output } = await perform(operation("pitr.base.list"), setting.context(), {});

      expect(output).toMatchObject({ bases: [{ id: base, status: "wal-missing" }] });
    } finally {
      await rename(setting.wal.path("taken"), join(folder, object));
    }
  });

  it("a missing segment ends the window and is named", async () => {
    const [first = ""] = await setting.wal.fillSegments(1);
    await setting.wal.query("INSERT INTO many VALUES (200002, 'before the gap')");
    const [{ at } = { at: "" }] = await setting.wal.query<{ at: string }>(
      `SELECT to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') AS at`,
    );
    const own = [first, ...(await setting.wal.fillSegments(1)), ...(await setting.wal.fillSegments(2))];
    const gone = own[2] ?? "";
    // They are archived side by side: the last one may be there first.
    for (const each of own) await until(() => setting.wal.isInStore(each), "the segments");
    await rm(setting.wal.path("store/pitr/main/wal/00000001", `${gone}.zst.age`));

    const { output } = await perform(operation("pitr.window"), setting.context(), {});

    expect(output).toMatchObject({ windows: [{ missing: gone }] });
    await expect(restore({ "to-lsn": "0/7F000000" })).rejects.toThrow(gone);
    // What is just being archived may still come. Otherwise the replay would run into the gap: that is said before anything is restored, with the last moment before it.
    const later = new Date(Date.parse(at) + 1).toISOString();
    await expect(restore({ "to-time": later })).resolves.toMatchObject({ gap: gone });
    const farBehind = setting.wal.path("store/pitr/main/wal/00000001/0000000100000000000000F0.zst.age");
    await writeFile(farBehind, "");
    const refused = await restore({ "to-time": later }).catch((error: unknown) => error);
    await rm(farBehind);
    expect(refused).toMatchObject({
      code: "E_RESTORE_TARGET",
      message: expect.stringContaining(gone),
      hint: expect.stringMatching(/--to-time \d{4}-/),
    });
    const chosen = operation("pitr.restore");
    const input = chosen.input.parse({ "target-dir": setting.newFolder(), latest: true });
    expect(chosen.notes?.(await restore({ latest: true }), input)).toEqual([expect.stringContaining(gone)]);
  });

  it("a changed byte of a base backup is found before a server starts on it", async () => {
    const object = setting.wal.path("store/pitr/main/base", base, "base.tar.zst.age");
    const content = await readFile(object);
    content[content.length >> 1] = (content[content.length >> 1] ?? 0) ^ 1;
    await writeFile(object, content);

    await expect(setting.restore({ latest: true })).rejects.toMatchObject({ code: "E_BACKUP_CORRUPT" });
  });
});
