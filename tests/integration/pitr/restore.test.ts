import { existsSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { stopCluster } from "../../../src/postgres/cluster.ts";
import { perform } from "../../support/context.ts";
import { operation, PitrSetting, queryPort, type Restored } from "./setting.ts";

interface Written {
  readonly n: number;
  readonly xid: string;
  /** Behind the commit. */
  readonly lsn: string;
}

let setting: PitrSetting;
const rows: Written[] = [];
const points: { readonly name: string; readonly n: number }[] = [];
const bases: string[] = [];

async function write(count: number): Promise<void> {
  for (let each = 0; each < count; each += 1) {
    const n = rows.length + 1;
    const [{ xid } = { xid: "" }] = await setting.wal.query<{ xid: string }>(
      `INSERT INTO ledger VALUES (${n}, repeat('x', ${n * 10})) RETURNING pg_current_xact_id()::text AS xid`,
    );
    const [{ lsn } = { lsn: "" }] = await setting.wal.query<{ lsn: string }>(
      "SELECT pg_current_wal_insert_lsn()::text AS lsn",
    );
    rows.push({ n, xid, lsn });
  }
}

async function point(name: string): Promise<void> {
  await perform(operation("pitr.point"), setting.context(), { name });
  points.push({ name, n: rows.length });
}

beforeAll(async () => {
  setting = await PitrSetting.start();
  const folder = await setting.tablespaceFolder("apart");
  await setting.wal.query(`CREATE TABLESPACE apart LOCATION '${folder}'`);
  await setting.wal.query(
    "CREATE TABLE ledger (n int PRIMARY KEY USING INDEX TABLESPACE apart, text text) TABLESPACE apart",
  );
  await write(5);
  bases.push(await setting.base());
  await write(20);
  await point("after-the-first");
  await write(20);
  await setting.wal.query("SELECT pg_switch_wal()");
  bases.push(await setting.base());
  await write(20);
  await point("after-the-second");
  await write(10);
  const [row] = await setting.wal.query<{ name: string }>("SELECT pg_walfile_name(pg_switch_wal()) AS name");
  await setting.wal.untilArchived(row?.name ?? "");
}, 120_000);
afterAll(() => setting.stop());

/** The numbers in the restored table, and then the server is stopped. */
async function numbersOf(restored: Restored): Promise<number[]> {
  const found = await queryPort<{ n: number }>(restored.port, "SELECT n FROM ledger ORDER BY n");
  await stopCluster(restored.directory);
  return found.map((each) => each.n);
}

const upTo = (n: number) => Array.from({ length: n }, (_, index) => index + 1);

describe("pitr.restore: exactly the rows that were committed by then", () => {
  it("to moments", async () => {
    const times = await setting.wal.query<{ n: number; at: string }>(
      `SELECT n, to_char(pg_xact_commit_timestamp(xmin) AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS at
         FROM ledger WHERE n IN (12, 50) ORDER BY n`,
    );
    expect(times).toHaveLength(2);
    for (const { n, at } of times) {
      const { output } = await setting.restore({ "to-time": at });

      expect(output).toMatchObject({ state: "promoted", base: bases[n < 45 ? 0 : 1] });
      expect(await numbersOf(output as Restored)).toEqual(upTo(n));
    }
  }, 120_000);

  it("to a position, before the next record", async () => {
    const { n, lsn } = rows[29] ?? { n: 0, lsn: "" };
    const { output } = await setting.restore({ "to-lsn": lsn });

    expect(output).toMatchObject({
      stoppedAt: expect.stringMatching(/^before WAL location \(LSN\) /),
      replayedTo: expect.stringMatching(/^0\//),
    });
    expect(await numbersOf(output as Restored)).toEqual(upTo(n));
  }, 60_000);

  it("to a transaction, paused and read-only", async () => {
    const { n, xid } = rows[54] ?? { n: 0, xid: "" };
    const { output } = await setting.restore({ "to-xid": xid, action: "pause" });

    expect(output).toMatchObject({ state: "paused" });
    const { port } = output as Restored;
    expect(await queryPort(port, "SELECT pg_is_in_recovery() AS yes")).toEqual([{ yes: true }]);
    expect(await numbersOf(output as Restored)).toEqual(upTo(n));
  }, 60_000);

  it("to a restore point, from the newest base backup before it", async () => {
    for (const [index, { name, n }] of points.entries()) {
      const { output } = await setting.restore({ "to-name": name });

      expect(output).toMatchObject({ base: bases[index] });
      expect(await numbersOf(output as Restored)).toEqual(upTo(n));
    }
  }, 120_000);

  it("to the end of the archive, with tablespaces in folders of their own", async () => {
    const { output } = await setting.restore({ latest: true, "restore-command": undefined });

    const restored = output as Restored;
    expect(existsSync(join(restored.directory, "pg_wal/ops-spool/fetched"))).toBe(false);
    const places = await queryPort<{ at: string }>(
      restored.port,
      "SELECT pg_tablespace_location(oid) AS at FROM pg_tablespace WHERE spcname = 'apart'",
    );
    expect(places[0]?.at).toMatch(`${restored.directory}.tablespaces/`);
    expect(await queryPort(restored.port, "SELECT current_setting('archive_mode') AS mode")).toEqual([
      { mode: "off" },
    ]);
    expect(await numbersOf(restored)).toEqual(upTo(rows.length));
  }, 60_000);
});
