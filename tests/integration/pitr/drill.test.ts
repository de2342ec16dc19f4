import { execFileSync } from "node:child_process";
import { existsSync, renameSync } from "node:fs";
import { mkdir, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { parseThreshold } from "../../../src/core/threshold.ts";
import { checks } from "../../../src/pitr/checks.ts";
import { withConnection } from "../../../src/postgres/connection.ts";
import type { Judgement } from "../../../src/run/check.ts";
import { perform, RecordingReport } from "../../support/context.ts";
import { ops, startOps } from "../../support/ops.ts";
import { until } from "../wal/setting.ts";
import { operation, PitrSetting } from "./setting.ts";

interface Drilled {
  readonly verdict: string;
  readonly reason: string | null;
  readonly target: string;
  readonly base: string;
  readonly recoveryTimeMs: number;
  readonly recoveryPointMs: number | null;
  readonly newestCommit: string | null;
  readonly databases: readonly string[];
}

let setting: PitrSetting;
const bases: string[] = [];
/** When the last transaction committed that is in the archive. */
let lastCommit: Date;

beforeAll(async () => {
  setting = await PitrSetting.start();
  await setting.wal.query("CREATE DATABASE another");
  await setting.wal.query("CREATE TABLE orders (n int PRIMARY KEY)");
  bases.push(await setting.base());
  for (let n = 1; n <= 10; n += 1) await setting.wal.query(`INSERT INTO orders VALUES (${n})`);
  bases.push(await setting.base());
  for (let n = 11; n <= 20; n += 1) await setting.wal.query(`INSERT INTO orders VALUES (${n})`);
  const [row] = await setting.wal.query<{ at: Date }>(
    "SELECT pg_xact_commit_timestamp(xmin) AS at FROM orders WHERE n = 20",
  );
  lastCommit = row?.at ?? new Date(0);
  // Segments without a commit follow.
  const names = await setting.wal.fillSegments(3);
  await setting.wal.untilArchived(names.at(-1) ?? "");
}, 120_000);
afterAll(() => setting.stop());

beforeEach(() => rm(recordFolder(), { recursive: true, force: true }));

const recordFolder = () => setting.wal.path("store/pitr/main/drill");

const records = () =>
  readdir(recordFolder()).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== "ENOENT") throw error;
    return [];
  });

const left = () => readdir(setting.wal.path(".ops/scratch"));

async function drill(input: object = {}): Promise<Drilled> {
  const { output } = await perform(operation("pitr.drill"), setting.context(), {
    "restore-command": setting.stockFetch,
    ...input,
  });
  return output as Drilled;
}

async function gate(fail?: string): Promise<Judgement> {
  const check = checks.find((each) => each.kind === "pitr-drill-age");
  if (check === undefined) throw new Error("there is no check pitr-drill-age");
  const measured = await check.measure(setting.context(), check.input.parse({}));
  return check.judge(measured, {}, fail === undefined ? {} : { fail: parseThreshold(fail) });
}

describe("a drill", () => {
  it("restores a random moment, connects to every database, and records what it measured", async () => {
    expect(await gate()).toMatchObject({ status: "fail", reason: expect.stringContaining("no drill") });

    const held = await drill({ checks: ["SELECT count(*) <= 20 FROM orders"] });

    expect(held, held.reason ?? "").toMatchObject({
      verdict: "pass",
      databases: ["another", "postgres", "template1"],
    });
    expect(Math.abs(Date.parse(held.newestCommit ?? "") - lastCommit.getTime())).toBeLessThan(2);
    expect(held.recoveryPointMs).toBeGreaterThan(0);
    expect(Date.parse(held.target)).toBeLessThan(lastCommit.getTime());
    expect(await records()).toHaveLength(1);
    expect(await left()).toEqual([]);
    expect(await gate()).toMatchObject({ status: "pass" });
    expect(await gate("> 0ms")).toMatchObject({ status: "fail" });
    const { output } = await perform(operation("pitr.window"), setting.context(), {});
    expect(output).toMatchObject({ drill: { verdict: "pass", target: held.target } });
  }, 60_000);

  it("of the end of the archive has everything, sound as pg_amcheck finds", async () => {
    const all = "SELECT count(*) = 20 FROM orders";

    expect(await drill({ latest: true, amcheck: true, checks: [all] })).toMatchObject({
      verdict: "pass",
      target: "the end of the archive",
      base: bases[1],
    });
  }, 60_000);

  it("is skipped while a passed one is young, and held after one that failed", async () => {
    const passed = await drill();
    expect(await drill({ every: "7d" })).toMatchObject({ verdict: "skipped", target: passed.target });
    expect(await records()).toHaveLength(1);

    // A second later: the names of records have seconds.
    await until(async () => {
      await drill({ rpo: "1ms" });
      return (await gate()).status === "fail";
    }, "a failed drill that is the newest");
    expect((await drill({ every: "7d" })).verdict).toBe("pass");
  }, 120_000);

  it.each([
    [
      { checks: ["SELECT count(*) > 1000 FROM orders"] },
      "this does not hold: SELECT count(*) > 1000 FROM orders",
    ],
    [{ rto: "1ms" }, "the recovery time is"],
    [{ rpo: "1ms" }, "the age of the newest commit in the archive is"],
  ])(
    "that does not meet %j fails, and says so in the gate",
    async (input, reason) => {
      const held = await drill({ latest: true, ...input });

      expect(held).toMatchObject({ verdict: "fail", reason: expect.stringContaining(reason) });
      expect(operation("pitr.drill").failure?.(held)).toMatchObject({ code: "E_DRILL_FAILED", exitCode: 1 });
      expect(await gate()).toMatchObject({ status: "fail", reason: expect.stringContaining(reason) });
    },
    60_000,
  );

  it("of a moment outside the window is refused and not recorded", async () => {
    await expect(drill({ "to-time": "2001-01-01T00:00:00Z" })).rejects.toMatchObject({
      code: "E_RESTORE_TARGET",
      exitCode: 2,
    });
    await expect(drill({ "to-time": "2001-01-01T00:00:00Z", latest: true })).rejects.toMatchObject({
      code: "E_INPUT",
    });
    expect(await records()).toEqual([]);
  });
});

describe("a drill of an archive that is damaged", () => {
  async function damaged(path: string): Promise<Drilled> {
    const original = await readFile(path);
    const changed = Buffer.from(original);
    changed[changed.length - 100] = (changed[changed.length - 100] ?? 0) ^ 1;
    await writeFile(path, changed);
    try {
      return await drill({ latest: true });
    } finally {
      await writeFile(path, original);
    }
  }

  it("fails for a changed bit in a base backup", async () => {
    const path = setting.wal.path("store/pitr/main/base", bases[1] ?? "", "base.tar.zst.age");

    expect(await damaged(path)).toMatchObject({
      verdict: "fail",
      reason: expect.stringContaining("base.tar.zst.age"),
    });
    expect(await left()).toEqual([]);
    expect(await gate()).toMatchObject({ status: "fail" });
  }, 60_000);

  it("fails for a changed bit in the last segment", async () => {
    const folder = setting.wal.path("store/pitr/main/wal/00000001");
    const last = (await readdir(folder))
      .filter((each) => /^[0-9A-F]{24}\.zst/.test(each))
      .sort()
      .at(-1);

    expect(await damaged(join(folder, last ?? ""))).toMatchObject({
      verdict: "fail",
      reason: expect.stringContaining("is damaged"),
    });
  }, 60_000);

  it("fails where there is no base backup at all", async () => {
    const [from, to] = [setting.wal.path("store/pitr/main/base"), setting.wal.path("store/bases-away")];
    await rename(from, to);
    try {
      expect(await drill()).toMatchObject({
        verdict: "fail",
        reason: expect.stringContaining("no base backup"),
      });
    } finally {
      await rename(to, from);
    }
  });

  it("fails for an index that does not fit its table", async () => {
    await setting.wal.query("CREATE DATABASE unsound");
    const server = setting.context().environment.database();
    await withConnection(server, { database: "unsound" }, async (client) => {
      const order = (sign: string) =>
        `CREATE OR REPLACE FUNCTION moody(int, int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT ${sign} btint4cmp($1, $2)'`;
      await client.query(order(""));
      await client.query(
        "CREATE OPERATOR CLASS moody FOR TYPE int USING btree AS OPERATOR 1 <, OPERATOR 2 <=, OPERATOR 3 =, OPERATOR 4 >=, OPERATOR 5 >, FUNCTION 1 moody(int, int)",
      );
      await client.query("CREATE TABLE moods AS SELECT n FROM generate_series(1, 1000) n");
      await client.query("CREATE INDEX moods_n ON moods (n moody)");
      await client.query(order("-"));
    });
    try {
      const names = await setting.wal.fillSegments(1);
      await setting.wal.untilArchived(names.at(-1) ?? "");
      expect(await drill({ latest: true, amcheck: true })).toMatchObject({
        verdict: "fail",
        reason: expect.stringContaining("moods_n"),
      });
    } finally {
      await setting.wal.query("DROP DATABASE unsound");
    }
  }, 60_000);
});

describe("a drill that is disturbed", () => {
  /** Takes a base backup away, as a prune does, as soon as the drill unpacks it. */
  async function expiring(input: object): Promise<Drilled> {
    const away = setting.wal.path("expired");
    let expired: string | undefined;
    const report = new (class extends RecordingReport {
      override progress(progress: { message: string }): void {
        super.progress(progress);
        expired ??= /^unpacking base backup (.*)/.exec(progress.message)?.[1];
        if (expired === undefined || existsSync(away)) return;
        renameSync(setting.wal.path("store/pitr/main/base", expired), away);
      }
    })();
    const { apply, input: schema } = operation("pitr.drill");
    const parsed = schema.parse({ "restore-command": setting.stockFetch, ...input });
    try {
      return (await apply(setting.context(), parsed, null, report)) as Drilled;
    } finally {
      await rename(away, setting.wal.path("store/pitr/main/base", expired ?? ""));
    }
  }

  it("takes another moment when its base backup expires under it", async () => {
    // Unless the oldest one expired, which leaves the newer moments, those of the older one are left.
    const held = await expiring({});

    expect(held, held.reason ?? "").toMatchObject({ verdict: "pass", base: expect.stringMatching(/-main-/) });
    expect(await records()).toHaveLength(1);
    expect(await left()).toEqual([]);
  }, 60_000);

  it("of a given moment is refused when its base backup expires under it, which is no verdict", async () => {
    await expect(expiring({ latest: true })).rejects.toMatchObject({
      code: "E_BACKUP_MISSING",
      message: expect.stringContaining("has expired during the drill"),
    });
    expect(await records()).toEqual([]);
  }, 60_000);

  it.each(["unpacked", "replayed"])(
    "killed while it is %s leaves no record and no cluster",
    async (moment) => {
      const options = { config: setting.wal.config };
      const { child } = startOps(["pitr", "drill", "--latest"], options);
      const scratch = setting.wal.path(".ops/scratch");
      const sign = moment === "unpacked" ? "data/PG_VERSION" : "data/postmaster.pid";
      await until(async () => {
        if (!existsSync(scratch)) return false;
        return (await readdir(scratch)).some((each) => existsSync(join(scratch, each, sign)));
      }, "the drill to get there");
      child.kill("SIGKILL");

      await until(async () => (await left()).length === 0, "the watchdog to clear up");
      expect(await records()).toEqual([]);
      const next = await ops(["pitr", "drill", "--latest", "--json"], options);
      expect(next, next.stderr).toMatchObject({ exitCode: 0 });
      expect(JSON.parse(next.stdout)).toMatchObject({ verdict: "pass" });
      expect(await records()).toHaveLength(1);
      expect(await left()).toEqual([]);
    },
    90_000,
  );

  it("on a disk that becomes full says so, records nothing and leaves nothing", async () => {
    const disk = setting.wal.path("disk");
    await mkdir(disk);
    // Needs root: a file system of its own is what makes a full disk real.
    execFileSync("mount", ["-t", "tmpfs", "-o", "size=64m,mode=755", "tmpfs", disk]);
    try {
      await expect(drill({ latest: true, "scratch-dir": disk })).rejects.toMatchObject({
        code: "E_DISK_SPACE",
        hint: expect.stringContaining("--scratch-dir"),
      });
      execFileSync("mount", ["-o", "remount,size=400m", disk]);
      const watching = until(async () => {
        const [folder] = await readdir(disk);
        return folder !== undefined && existsSync(join(disk, folder, "data/PG_VERSION"));
      }, "the restore to begin").then(() => {
        try {
          execFileSync("dd", ["if=/dev/zero", `of=${join(disk, "filler")}`, "bs=1M", "count=400"], {
            stdio: "ignore",
          });
        } catch {
          // dd ends with an error when the disk is full, which is what is wanted.
        }
      });
      await expect(drill({ latest: true, "scratch-dir": disk })).rejects.toMatchObject({
        code: "E_DISK_SPACE",
      });
      await watching;

      expect(await records()).toEqual([]);
      expect(await readdir(disk)).toEqual(["filler"]);
    } finally {
      execFileSync("umount", [disk]);
    }
  }, 60_000);
});
