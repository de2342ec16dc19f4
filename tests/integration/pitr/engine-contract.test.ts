import { existsSync } from "node:fs";
import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { checks } from "../../../src/pitr/checks.ts";
import { startCluster, stopCluster } from "../../../src/postgres/cluster.ts";
import { checks as walChecks } from "../../../src/wal/checks.ts";
import { perform } from "../../support/context.ts";
import { startOps } from "../../support/ops.ts";
import { until } from "../wal/setting.ts";
import { type EngineSetting, engines } from "./engines.ts";
import { operation, queryPort, type Restored } from "./setting.ts";

interface Written {
  readonly n: number;
  readonly xid: string;
  /** Behind the commit. */
  readonly lsn: string;
}

const upTo = (n: number) => Array.from({ length: n }, (_, index) => index + 1);

/** What every engine keeps: the same commands, the same refusals, and exactly the rows that were committed by then. */
describe.each(Object.entries(engines))("the engine %s", (_engine, start) => {
  let setting: EngineSetting;
  const rows: Written[] = [];
  const bases: string[] = [];

  const write = async (count: number) => {
    for (let each = 0; each < count; each += 1) {
      const n = rows.length + 1;
      const [{ xid } = { xid: "" }] = await setting.query<{ xid: string }>(
        `INSERT INTO ledger VALUES (${n}, repeat('x', ${n * 10})) RETURNING pg_current_xact_id()::text AS xid`,
      );
      const [{ lsn } = { lsn: "" }] = await setting.query<{ lsn: string }>(
        "SELECT pg_current_wal_insert_lsn()::text AS lsn",
      );
      rows.push({ n, xid, lsn });
    }
  };
  const base = async () => {
    const { output } = await perform(operation("pitr.base.create"), setting.context(), {});
    const { id, restorableFrom } = output as { id: string; restorableFrom: string };
    await until(async () => {
      const [row] = await setting.query<{ yes: boolean }>(
        `SELECT clock_timestamp() > '${restorableFrom}'::timestamptz AS yes`,
      );
      return row?.yes === true;
    }, "the first moment that the base backup can be restored to");
    bases.push(id);
    return output;
  };
  /** The numbers in the restored table, and then the server is stopped. */
  const numbersOf = async ({ port, directory }: Restored) => {
    const found = await queryPort<{ n: number }>(port, "SELECT n FROM ledger ORDER BY n");
    await stopCluster(directory);
    return found.map((each) => each.n);
  };
  const observe = (input: object, folder = setting.newFolder()) =>
    operation("pitr.restore").observe(
      setting.context(),
      operation("pitr.restore").input.parse({ "target-dir": folder, ...input }),
    );

  beforeAll(async () => {
    setting = await start();
    const folder = await setting.tablespaceFolder("apart");
    await setting.query(`CREATE TABLESPACE apart LOCATION '${folder}'`);
    await setting.query("CREATE TABLE ledger (n int, text text) TABLESPACE apart");
    await write(3);
    expect(await base()).toMatchObject({ stores: [setting.store], parent: null, tablespaces: 1 });
    await write(5);
    await perform(operation("pitr.point"), setting.context(), { name: "after-eight" });
    await write(4);
    await base();
    await write(6);
    await setting.untilArchived();
  }, 180_000);
  afterAll(() => setting?.stop());

  it("lists its base backups, shows the window, and passes the gates", async () => {
    const listed = await perform(operation("pitr.base.list"), setting.context(), {});
    const shown = await perform(operation("pitr.window"), setting.context(), {});
    const [window] = checks;
    const measured = await window?.measure(setting.context(), window.input.parse({}));
    const [lag] = walChecks;
    const behind = await lag?.measure(setting.context(), lag.input.parse({}));

    expect(listed.output).toMatchObject({
      store: setting.store,
      bases: [...bases].reverse().map((id) => ({ id, status: "complete", timeline: 1, chain: [id] })),
    });
    expect(shown.output).toMatchObject({
      windows: [{ timeline: 1, bases: [...bases].reverse(), missing: null }],
      useless: [],
    });
    expect(measured?.value).toBeGreaterThan(0);
    expect(behind).toMatchObject({ value: expect.any(Number), evidence: { lagBytes: expect.any(Number) } });
  });

  it.each([
    [{ "to-time": "2020-01-01T00:00:00Z" }, "E_RESTORE_TARGET", /before the oldest base backup/],
    [{ "to-time": "2999-01-01T00:00:00Z" }, "E_RESTORE_TARGET", /in the future/],
    [{ "to-lsn": "FF/0" }, "E_RESTORE_TARGET", /the archive ends at 0\/[0-9A-F]+/],
    [{ "to-xid": "3" }, "E_RESTORE_TARGET", /before the oldest base backup/],
    [{ latest: true, timeline: 7 }, "E_RESTORE_TARGET", /no timeline 7/],
    [{ latest: true, base: "none" }, "E_RESTORE_TARGET", /none/],
    [{ latest: true, store: "elsewhere" }, "E_TARGET", /"elsewhere"/],
  ])("refuses %j before anything is written", async (input, code, why) => {
    const folder = setting.newFolder();

    await expect(observe(input, folder)).rejects.toMatchObject({
      code,
      exitCode: 2,
      message: expect.stringMatching(why),
    });
    expect(existsSync(folder)).toBe(false);
  });

  it("leaves a folder with something in it as it is", async () => {
    const folder = setting.newFolder();
    await mkdir(folder);
    await writeFile(join(folder, "mine"), "mine");

    await expect(observe({ latest: true }, folder)).rejects.toMatchObject({ code: "E_RESTORE_FOLDER" });
    expect(await readdir(folder)).toEqual(["mine"]);
  });

  it("refuses a restore point of a name that there is", async () => {
    const point = operation("pitr.point");

    await expect(
      point.observe(setting.context(), point.input.parse({ name: "after-eight" })),
    ).rejects.toMatchObject({ code: "E_POINT_EXISTS", exitCode: 2 });
  });

  it("restores to a time, from the base backup before it", async () => {
    for (const [n, from] of [
      [6, 0],
      [14, 1],
    ] as const) {
      const [{ at } = { at: "" }] = await setting.query<{ at: string }>(
        `SELECT to_char(pg_xact_commit_timestamp(xmin) AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS at
           FROM ledger WHERE n = ${n}`,
      );
      const { output } = await setting.restore({ "to-time": at });

      expect(output).toMatchObject({ state: "promoted", base: bases[from] });
      expect(await numbersOf(output as Restored)).toEqual(upTo(n));
    }
  }, 120_000);

  it("restores to a position, before the next record", async () => {
    const { n, lsn } = rows[15] ?? { n: 0, lsn: "" };
    const { output } = await setting.restore({ "to-lsn": lsn });

    expect(await numbersOf(output as Restored)).toEqual(upTo(n));
  }, 60_000);

  it("restores to a transaction, paused and read-only", async () => {
    const { n, xid } = rows[6] ?? { n: 0, xid: "" };
    const { output } = await setting.restore({ "to-xid": xid, action: "pause" });

    expect(output).toMatchObject({ state: "paused", base: bases[0] });
    expect(await numbersOf(output as Restored)).toEqual(upTo(n));
  }, 60_000);

  it("restores to a restore point, from the base backup before it", async () => {
    const { output } = await setting.restore({ "to-name": "after-eight" });

    expect(output).toMatchObject({ base: bases[0] });
    expect(await numbersOf(output as Restored)).toEqual(upTo(8));
  }, 60_000);

  it("restores to the end of the archive, with tablespaces elsewhere and archive_mode off", async () => {
    const { output } = await setting.restore({ latest: true });
    const restored = output as Restored;
    const [seen] = await queryPort<{ at: string; mode: string }>(
      restored.port,
      `SELECT pg_tablespace_location(oid) AS at, current_setting('archive_mode') AS mode
         FROM pg_tablespace WHERE spcname = 'apart'`,
    );

    expect(seen).toMatchObject({
      at: expect.stringContaining(`${restored.directory}.tablespaces/`),
      mode: "off",
    });
    expect(await numbersOf(restored)).toEqual(upTo(rows.length));
  }, 60_000);

  it("goes on with a restore that was killed with SIGKILL, and a roll-back leaves nothing", async () => {
    const options = { config: setting.config, cwd: setting.folder };
    for (const goOn of ["rollback", "resume"]) {
      const folder = setting.newFolder();
      const killed = startOps(
        ["pitr", "restore", "--latest", "--start", "--yes", "--target-dir", folder],
        options,
      );
      await until(async () => existsSync(join(folder, "base")), "the first files");
      killed.child.kill("SIGKILL");
      await killed.result;

      const ended = await startOps(["runs", goOn, "last", "--yes"], options).result;
      const said = ended.stderr + ended.stdout;
      if (goOn === "rollback") {
        expect(said).toContain("is removed");
        expect(
          (await readdir(setting.folder)).filter((each) => join(setting.folder, each).startsWith(folder)),
        ).toEqual([]);
        continue;
      }
      expect(said).toContain("runs on 127.0.0.1");
      const port = Number((await readFile(join(folder, "postmaster.pid"), "utf8")).split("\n")[3]);
      expect(await numbersOf({ port, directory: folder } as Restored)).toEqual(upTo(rows.length));
    }
  }, 120_000);

  it("refuses a base backup of another cluster", async () => {
    const other = await startCluster({
      directory: join(setting.folder, "other"),
      settings: { fsync: "off" },
    });
    try {
      await expect(
        perform(operation("pitr.base.create"), setting.context(other.url()), {}),
      ).rejects.toMatchObject({
        code: expect.stringMatching(/^E_(WAL_FOREIGN|STORE_FAILED)$/),
        message: expect.stringContaining("system identifier"),
      });
    } finally {
      await other.stop();
    }
    const { output } = await perform(operation("pitr.base.list"), setting.context(), {});
    expect(output).toMatchObject({ bases: [{ id: bases[1] }, { id: bases[0] }] });
  }, 60_000);

  it("takes a killed base backup to its end when it is resumed, once", async () => {
    const options = { config: setting.config, cwd: setting.folder };
    const killed = startOps(["pitr", "base", "create", "--yes"], options);
    let said = "";
    killed.child.stderr?.on("data", (chunk: Buffer) => {
      said += chunk.toString();
    });
    await until(async () => /copie|bytes|iB|%/.test(said) || killed.child.exitCode !== null, "the copying");
    killed.child.kill("SIGKILL");
    await killed.result;

    const ended = await startOps(["runs", "resume", "last", "--yes"], options).result;

    expect(ended.stderr + ended.stdout).toContain("Restorable from");
    const { output } = await perform(operation("pitr.base.list"), setting.context(), {});
    expect((output as { bases: unknown[] }).bases).toHaveLength(3);
  }, 120_000);
});
