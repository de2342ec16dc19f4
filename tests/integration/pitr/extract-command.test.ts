import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { ops, projectRoot, startOps } from "../../support/ops.ts";
import { until } from "../wal/setting.ts";
import { PitrSetting } from "./setting.ts";

let setting: PitrSetting;
let moment = "";

const rowsOf = (sql: string) => setting.wal.query<Record<string, unknown>>(sql);
const options = () => ({ config: setting.wal.config, cwd: setting.wal.folder, timeout: 120_000 });
const left = () => readdir(setting.wal.path(".ops/scratch")).catch(() => []);

beforeAll(async () => {
  setting = await PitrSetting.start();
  await rowsOf(`CREATE TABLE orders (id int PRIMARY KEY, item text);
                INSERT INTO orders SELECT n, md5(n::text) FROM generate_series(1, 1000) n;
                CREATE TABLE truth AS TABLE orders`);
  await setting.base();
  const [row] = await setting.wal.query<{ now: Date }>("SELECT clock_timestamp() AS now");
  moment = new Date((row?.now.getTime() ?? 0) + 1).toISOString();
  await new Promise((done) => setTimeout(done, 5));
}, 180_000);
afterAll(() => setting.stop());

beforeEach(async () => {
  await rowsOf("DELETE FROM orders");
  await rowsOf("INSERT INTO orders VALUES (1001, 'after the accident')");
  await rowsOf("DROP TABLE IF EXISTS orders_restored");
});

describe("docs/pitr-extract.md", () => {
  it("has commands that work as they stand there", async () => {
    const text = await readFile(join(projectRoot, "docs/pitr-extract.md"), "utf8");
    const told = text.replaceAll("2026-11-21T14:31:59Z", moment);
    const steps = [...told.matchAll(/```console\n\$ ops (.*)\n(.*)\n```/g)];

    for (const [, command = "", answer = ""] of steps) {
      const { exitCode, stdout, stderr } = await ops(command.split(" "), options());
      expect({ exitCode, stderr: exitCode === 0 ? "" : stderr }).toEqual({ exitCode: 0, stderr: "" });
      expect(stdout).toContain(answer);
    }
    expect(steps).toHaveLength(3);
    expect(await rowsOf("SELECT count(*)::int FROM orders")).toEqual([{ count: 1001 }]);
    expect(await rowsOf("TABLE truth EXCEPT TABLE orders")).toEqual([]);
    expect(await rowsOf("TABLE truth EXCEPT TABLE orders_restored")).toEqual([]);

    const { exitCode, stderr } = await ops(["runs", "rollback", "last", "--yes"], options());
    expect({ exitCode, stderr: exitCode === 0 ? "" : stderr }).toEqual({ exitCode: 0, stderr: "" });
    expect(await rowsOf("SELECT count(*)::int FROM orders")).toEqual([{ count: 1 }]);
    // No row is in the journal, but what was asked for is.
    const journal = await readdir(setting.wal.path(".ops"));
    const [item] = await rowsOf("SELECT item FROM truth WHERE id = 7");
    for (const file of journal.filter((each) => each.includes("db") || each.includes("sqlite"))) {
      expect((await readFile(setting.wal.path(".ops", file))).includes(String(item?.item))).toBe(false);
    }
  }, 180_000);
});

describe("a dry run", () => {
  it("says what would be done and does nothing", async () => {
    const args = [
      "pitr",
      "extract",
      "--table",
      "orders",
      "--to-time",
      moment,
      "--into",
      "orders",
      "--missing",
    ];
    const { exitCode, stdout } = await ops([...args, "--dry-run"], options());

    expect(exitCode).toBe(0);
    expect(stdout).toContain("put back the rows that are missing from public.orders");
    expect(await rowsOf("SELECT count(*)::int FROM orders")).toEqual([{ count: 1 }]);
    expect(await left()).toEqual([]);
  }, 180_000);
});

const asked = (into: readonly string[]) => [
  "pitr",
  "extract",
  "--table",
  "orders",
  "--to-time",
  moment,
  "--yes",
  "--into",
  ...into,
];

describe("an extract killed with SIGKILL", () => {
  it("in the middle of its restore leaves no server and no folder, and is done by a resume", async () => {
    const killed = startOps(asked(["orders_restored"]), options());
    await until(async () => {
      const [folder] = await left();
      return (
        folder !== undefined && existsSync(setting.wal.path(".ops/scratch", folder, "data/postmaster.pid"))
      );
    }, "the temporary server");
    killed.child.kill("SIGKILL");
    await killed.result;

    await until(async () => (await left()).length === 0, "the watchdog");
    const servers = execFileSync("ps", ["-eo", "args"], { encoding: "utf8" })
      .split("\n")
      .filter((each) => each.includes(setting.wal.path(".ops/scratch")) && !each.includes("ops-watchdog"));
    expect(servers).toEqual([]);
    const resumed = await ops(["runs", "resume", "last", "--yes"], options());
    expect(resumed).toMatchObject({ exitCode: 0 });
    expect(await rowsOf("SELECT count(*)::int FROM orders_restored")).toEqual([{ count: 1000 }]);
  }, 180_000);
});

describe("an extract that is interrupted", () => {
  it.each(["SIGINT", "SIGTERM"] as const)(
    "by %s ends as resumable, and nothing of it is left",
    async (signal) => {
      const running = startOps(asked(["orders_restored"]), options());
      await until(async () => (await left()).length > 0, "the temporary folder");
      running.child.kill(signal);

      expect(await running.result).toMatchObject({ exitCode: 130 });
      expect(await left()).toEqual([]);
      expect(await ops(["runs", "rollback", "last", "--yes"], options())).toMatchObject({ exitCode: 0 });
    },
    60_000,
  );
});
