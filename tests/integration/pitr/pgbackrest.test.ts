import { execFileSync } from "node:child_process";
import { readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { startCluster, stopCluster } from "../../../src/postgres/cluster.ts";
import { perform } from "../../support/context.ts";
import { ops } from "../../support/ops.ts";
import { until } from "../wal/setting.ts";
import { cipherPass, PgBackRestSetting } from "./engines.ts";
import { operation, queryPort, type Restored } from "./setting.ts";

let setting: PgBackRestSetting;

beforeAll(async () => {
  setting = await PgBackRestSetting.start();
  await setting.query("CREATE TABLE ledger (n int)");
}, 120_000);
afterAll(() => setting?.stop());

const create = async (input: object) =>
  (await perform(operation("pitr.base.create"), setting.context(), input)).output as {
    id: string;
    parent: string | null;
  };

describe("before there is a base backup", () => {
  it("a restore and a restore point are refused with the way to make one", async () => {
    const restore = operation("pitr.restore");
    const input = restore.input.parse({ latest: true, "target-dir": setting.newFolder() });

    await expect(restore.observe(setting.context(), input)).rejects.toMatchObject({
      code: "E_BACKUP_MISSING",
      exitCode: 2,
      hint: expect.stringContaining("ops pitr base create"),
    });
    await expect(
      perform(operation("pitr.point"), setting.context(), { name: "early" }),
    ).rejects.toMatchObject({
      code: "E_BACKUP_MISSING",
    });
  });
});

describe("full, differential and incremental base backups", () => {
  it("name what they are based on, and are restored by pgBackRest with it", async () => {
    const full = await create({ "full-every": "7d" });
    await setting.query("INSERT INTO ledger VALUES (1)");
    const incremental = await create({ "full-every": "7d" });
    await setting.query("INSERT INTO ledger VALUES (2)");
    const differential = await create({ differential: true });
    const next = await create({ incremental: true });
    await setting.query("INSERT INTO ledger VALUES (3)");
    await setting.untilArchived();

    expect(full).toMatchObject({ id: expect.stringMatching(/F$/), parent: null });
    expect(incremental).toMatchObject({ id: expect.stringMatching(/I$/), parent: full.id });
    expect(differential).toMatchObject({ id: expect.stringMatching(/D$/), parent: full.id });
    const { output } = await perform(operation("pitr.base.list"), setting.context(), {});
    expect(output).toMatchObject({
      bases: [
        { id: next.id, chain: [full.id, differential.id, next.id] },
        { id: differential.id, chain: [full.id, differential.id] },
        { id: incremental.id, chain: [full.id, incremental.id] },
        { id: full.id, chain: [full.id] },
      ],
    });
    const restored = (await setting.restore({ latest: true })).output as Restored;
    expect(restored.base).toBe(next.id);
    expect(await queryPort(restored.port, "SELECT count(*)::int AS n FROM ledger")).toEqual([{ n: 3 }]);
    await stopCluster(restored.directory);
  }, 120_000);

  it.each([
    [{ parent: "x" }, /chooses itself/],
    [{ incremental: true, differential: true }, /either/],
    [{ from: "any" }, /standby/],
  ])("%j is refused", async (input, why) => {
    await expect(create(input)).rejects.toMatchObject({
      code: "E_INPUT",
      exitCode: 2,
      message: expect.stringMatching(why),
    });
  });
});

describe("a restore point", () => {
  it("goes again with a roll-back", async () => {
    const made = await perform(operation("pitr.point"), setting.context(), { name: "gone" });

    expect(await made.undo()).toMatchObject({ undone: true });
    expect(await setting.program("info", "--output=json")).not.toContain("ops-point-gone");
  }, 60_000);
});

describe("the server's own commands", () => {
  it("of ops refuse: the server calls pgBackRest", async () => {
    const segment = join(setting.folder, "data/pg_wal", "000000010000000000000001");
    const result = await ops(["wal", "push", segment], { config: setting.config });

    expect(result).toMatchObject({ exitCode: 2, stderr: expect.stringContaining("archived by pgBackRest") });
  });

  it("restore_command ends with 1 only where the archive has no such file", async () => {
    const [settings = ""] = await restoredSettings();
    const command = /restore_command = '(.*)'/.exec(settings)?.[1]?.replaceAll("''", "'") ?? "";
    const run = (file: string, to: string) => {
      const words = command.replace('"%p"', to).replace('"%f"', file);
      try {
        execFileSync("/bin/sh", ["-c", words], { stdio: "ignore" });
        return 0;
      } catch (error) {
        return (error as { status: number }).status;
      }
    };

    expect(command).toContain("archive-get");
    expect(run("0000000900000000000000AA", join(setting.folder, "x"))).toBe(1);
    const conf = join(setting.folder, "pgbackrest.conf");
    const text = await readFile(conf, "utf8");
    await writeFile(conf, text.replace(cipherPass, "wrong"));
    try {
      expect(run("000000010000000000000002", join(setting.folder, "x"))).toBe(255);
    } finally {
      await writeFile(conf, text);
    }
  }, 60_000);

  async function restoredSettings(): Promise<string[]> {
    const folder = setting.newFolder();
    await setting.restore({ latest: true, start: false, "target-dir": folder });
    return [await readFile(join(folder, "postgresql.auto.conf"), "utf8")];
  }
});

describe("errors of pgBackRest", () => {
  it("name its exit code and the way out, and hold no secret", async () => {
    const conf = join(setting.folder, "pgbackrest.conf");
    const text = await readFile(conf, "utf8");
    const said: string[] = [];
    const list = async () => {
      const { stdout, stderr, exitCode } = await ops(["pitr", "base", "list"], { config: setting.config });
      said.push(stdout, stderr);
      return { exitCode, text: stdout + stderr };
    };
    try {
      await writeFile(conf, text.replace(`cipher-pass=${cipherPass}`, "cipher-pass=another-passphrase"));
      expect((await list()).text).toMatch(/cannot read repository 1[\s\S]*passphrase/);
      await writeFile(conf, text.replace("repo1-cipher-type=aes-256-cbc", "repo1-cipher-type=rot13"));
      expect(await list()).toMatchObject({ exitCode: 2, text: expect.stringContaining("exit code 32") });
      await writeFile(
        conf,
        text.replace(`repo1-path=${setting.folder}/repo`, `repo1-path=${setting.folder}/none`),
      );
      expect(await list()).toMatchObject({ exitCode: 2, text: expect.stringContaining("ops pitr setup") });
    } finally {
      await writeFile(conf, text);
    }
    expect(said.join("\n")).not.toContain(cipherPass);
    expect(said.join("\n")).not.toContain("another-passphrase");
  }, 60_000);

  it("nothing of a run holds the passphrase of the repository", async () => {
    const run = await ops(["pitr", "base", "create", "--incremental", "--yes", "--json"], {
      config: setting.config,
      cwd: setting.folder,
    });

    expect(run.exitCode).toBe(0);
    expect(run.stdout + run.stderr).not.toContain(cipherPass);
    for (const file of await readdir(join(setting.folder, ".ops"))) {
      const content = await readFile(join(setting.folder, ".ops", file)).catch(() => Buffer.alloc(0));
      expect(content.includes(cipherPass)).toBe(false);
    }
  }, 60_000);
});

describe("a gap in the WAL", () => {
  it("is named by the window, and nothing is restored across it", async () => {
    await setting.query("INSERT INTO ledger VALUES (4)");
    await setting.untilArchived();
    await setting.query("INSERT INTO ledger VALUES (5)");
    await setting.untilArchived();
    await setting.untilArchived();
    const folder = join(setting.folder, "repo/archive/shop/15-1/0000000100000000");
    const files = (await readdir(folder)).filter((each) => /^[0-9A-F]{24}-/.test(each)).sort();
    const gone = files.at(-2) ?? "";
    await rm(join(folder, gone));

    const { output } = await perform(operation("pitr.window"), setting.context(), {});

    expect(output).toMatchObject({ windows: [{ missing: gone.slice(0, 24) }] });
    await expect(setting.restore({ latest: true })).rejects.toMatchObject({
      code: "E_WAL_GAP",
      message: expect.stringContaining(gone.slice(0, 24)),
    });
    await expect(setting.restore({ "to-lsn": "0/7F000000" })).rejects.toMatchObject({
      code: "E_RESTORE_TARGET",
      message: expect.stringContaining(gone.slice(0, 24)),
    });
  }, 60_000);
});

describe("another timeline", () => {
  it("is known by its history, and restored to through the switch", async () => {
    const full = await create({});
    await setting.query("INSERT INTO ledger VALUES (6)");
    await setting.untilArchived();
    const restored = (await setting.restore({ latest: true, start: false })).output as Restored;
    // Promoted while it archives: only so is the history of its timeline archived.
    const next = await startCluster({
      directory: restored.directory,
      settings: {
        fsync: "off",
        archive_mode: "on",
        archive_command: `pgbackrest --config=${setting.folder}/pgbackrest.conf --stanza=shop --pg1-path=${restored.directory} archive-push %p`,
      },
    });
    try {
      await until(async () => {
        const [row] = await queryPort<{ yes: boolean }>(next.port, "SELECT pg_is_in_recovery() AS yes");
        return row?.yes === false;
      }, "the promotion");
      await queryPort(next.port, "INSERT INTO ledger VALUES (7)");
      await queryPort(next.port, "SELECT pg_switch_wal()");
      await until(async () => {
        const { output } = await perform(operation("pitr.window"), setting.context(), {});
        const [newest] = (output as { windows: { timeline: number; bases: string[] }[] }).windows;
        return newest?.timeline === 2 && newest.bases.includes(full.id);
      }, "the second timeline in the archive");
    } finally {
      await next.stop();
    }
    const through = (await setting.restore({ latest: true })).output as Restored;

    expect(through.timeline).toBe(2);
    expect(await queryPort(through.port, "SELECT max(n) AS n FROM ledger")).toEqual([{ n: 7 }]);
    await stopCluster(through.directory);
  }, 120_000);
});

describe("retention", () => {
  it("is pgBackRest's, planned before it removes anything", async () => {
    const conf = join(setting.folder, "pgbackrest.conf");
    const text = await readFile(conf, "utf8");
    const listed = async () => {
      const { output } = await perform(operation("pitr.base.list"), setting.context(), {});
      return (output as { bases: { id: string }[] }).bases.map((each) => each.id);
    };
    const before = await listed();
    const newest = await create({});
    const prune = operation("pitr.prune");
    const input = prune.input.parse({});
    expect(prune.plan(await prune.observe(setting.context(), input), input)).toEqual([]);

    await writeFile(conf, text.replace("repo1-retention-full=9", "repo1-retention-full=1"));
    const planned = await prune.observe(setting.context(), input);
    expect(await listed()).toEqual([newest.id, ...before]);
    const { output } = await perform(prune, setting.context(), {});

    expect(planned).toMatchObject({ stores: [{ kept: [{ id: newest.id }] }] });
    expect(output).toMatchObject({
      stores: [{ removed: [...before].reverse().map((id) => ({ id })), walFiles: expect.any(Number) }],
    });
    expect(await listed()).toEqual([newest.id]);
  }, 60_000);
});
