import { execFileSync } from "node:child_process";
import { mkdir, readdir } from "node:fs/promises";
import pg from "pg";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  planScratchCluster,
  type ScratchCluster,
  withScratchCluster,
} from "../../../src/pitr/scratch-cluster.ts";
import { postmasterPid } from "../../../src/postgres/cluster.ts";
import { withConnection } from "../../../src/postgres/connection.ts";
import { RecordingReport } from "../../support/context.ts";
import { PitrSetting } from "./setting.ts";

let setting: PitrSetting;
let moment = "";

beforeAll(async () => {
  setting = await PitrSetting.start({ max_prepared_transactions: "5" });
  await setting.wal.query("CREATE TABLE orders AS SELECT n FROM generate_series(1, 10) n");
  await setting.base();
  await setting.wal.query("INSERT INTO orders VALUES (11)");
  await setting.wal.query("BEGIN; INSERT INTO orders VALUES (12); PREPARE TRANSACTION 'open'");
  const [row] = await setting.wal.query<{ now: Date }>("SELECT clock_timestamp() AS now");
  moment = new Date((row?.now.getTime() ?? 0) + 1).toISOString();
  await new Promise((done) => setTimeout(done, 5));
  await setting.wal.query("DELETE FROM orders");
  const [last] = await setting.wal.fillSegments(1);
  await setting.wal.untilArchived(last ?? "");
}, 180_000);
afterAll(() => setting.stop());

function scratch<T>(work: (scratch: ScratchCluster) => Promise<T>, signal = new AbortController().signal) {
  const options = { "to-time": moment, "restore-command": setting.stockFetch };
  return withScratchCluster(setting.context(), options, new RecordingReport(), signal, work);
}

const left = () => readdir(setting.wal.path(".ops/scratch"));

async function attempt(url: string): Promise<string> {
  const client = new pg.Client(url);
  client.on("error", () => undefined);
  try {
    await client.connect();
    return "connected";
  } catch (error) {
    return (error as Error).message;
  } finally {
    await client.end().catch(() => undefined);
  }
}

describe("a temporary cluster of the archive", () => {
  it("has the rows of the moment, can be written to, lets nobody else in, and is gone afterwards", async () => {
    const directory = await scratch(async ({ server, directory, base }) => {
      const signal = new AbortController().signal;
      const rows = await withConnection(server, { signal, database: "postgres" }, async (client) => {
        await client.query("CREATE TABLE mine (n int)");
        return (await client.query("SELECT count(*)::int AS count FROM orders")).rows;
      });
      expect(rows).toEqual([{ count: 11 }]);
      expect(base).toMatch(/-main-/);
      const { port } = new URL(await server.url.reveal());
      expect(await attempt(`postgresql://postgres@127.0.0.1:${port}/postgres`)).toContain(
        "no pg_hba.conf entry",
      );
      return directory;
    });

    expect(await postmasterPid(directory)).toBeUndefined();
    expect(await left()).toEqual([]);
  }, 180_000);

  it("reaches nothing outside, and has what was prepared at the moment", async () => {
    const rows = await scratch(({ server }) =>
      withConnection(server, { signal: new AbortController().signal }, async (client) => {
        const { rows } = await client.query(
          `SELECT current_setting('max_logical_replication_workers') AS workers, current_setting('archive_mode') AS archiving,
                  (SELECT string_agg(gid, ',') FROM pg_prepared_xacts) AS prepared`,
        );
        return rows;
      }),
    );

    expect(rows).toEqual([{ workers: "0", archiving: "off", prepared: "open" }]);
  }, 180_000);

  it("is refused before anything is written where the disk is too small", async () => {
    const small = setting.wal.path("small");
    await mkdir(small);
    execFileSync("mount", ["-t", "tmpfs", "-o", "size=4m", "tmpfs", small]);
    try {
      const options = { "to-time": moment, "scratch-dir": small };
      await expect(planScratchCluster(setting.context(), options)).rejects.toMatchObject({
        code: "E_DISK_SPACE",
        message: expect.stringMatching(/needs \d.* has 4\.0 MiB free/),
      });
      expect(await readdir(small)).toEqual([]);
    } finally {
      execFileSync("umount", [small]);
    }
  }, 180_000);

  it("is gone after a failure and after an interruption", async () => {
    await expect(
      scratch(async () => {
        throw new Error("it went wrong");
      }),
    ).rejects.toThrow("it went wrong");
    const stop = new AbortController();
    await expect(
      scratch(async ({ server }) => {
        const sleeping = withConnection(server, { signal: stop.signal }, (client) =>
          client.query("SELECT pg_sleep(60)"),
        );
        stop.abort(new Error("stopped"));
        await sleeping;
      }, stop.signal),
    ).rejects.toThrow("stopped");

    expect(await left()).toEqual([]);
  }, 180_000);
});
