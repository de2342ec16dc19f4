import { readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { startCluster, stopCluster } from "../../../src/postgres/cluster.ts";
import { parseLsn } from "../../../src/wal-archive/lsn.ts";
import { segmentName } from "../../../src/wal-archive/segment.ts";
import { perform } from "../../support/context.ts";
import { archiveCommand, until } from "../wal/setting.ts";
import { operation, PitrSetting, queryPort, type Restored } from "./setting.ts";

let setting: PitrSetting;
let left = "";
/** Behind the base backup and before the timeline was left. */
let between = "";

/** A base backup and rows on timeline 1; then its successor goes on from there on timeline 2, into the same archive. */
beforeAll(async () => {
  setting = await PitrSetting.start();
  await setting.wal.query("CREATE TABLE ledger (n int)");
  await setting.base();
  [between = ""] = await setting.wal.fillSegments(1);
  await setting.wal.query("INSERT INTO ledger VALUES (1)");
  const [row] = await setting.wal.query<{ lsn: string }>("SELECT pg_current_wal_insert_lsn()::text AS lsn");
  left = row?.lsn ?? "";
  await setting.wal.query("INSERT INTO ledger VALUES (2)");
  const [last] = await setting.wal.fillSegments(1);
  await until(() => setting.wal.isInStore(last ?? ""), "the last segment of the first timeline");
  await setting.wal.cluster.stop();

  const { output } = await setting.restore({ "to-lsn": left, start: false });
  expect(output).toMatchObject({ state: "prepared", port: null });
  setting.wal.cluster = await startCluster({
    directory: (output as Restored).directory,
    env: { OPS_CONFIG: setting.wal.config, HOME: setting.wal.folder },
    settings: { fsync: "off", archive_mode: "on", archive_command: archiveCommand },
  });
  await setting.wal.configure();
  await until(async () => {
    const [row] = await setting.wal.query<{ yes: boolean }>("SELECT pg_is_in_recovery() AS yes");
    return row?.yes === false;
  }, "the promotion");
  await setting.wal.query("INSERT INTO ledger VALUES (3)");
  const [segment] = await setting.wal.fillSegments(1);
  await until(() => setting.wal.isInStore(segment ?? ""), "a segment of the second timeline");
}, 120_000);
afterAll(() => setting.stop());

it("restores to the newest timeline through the switch, and to the one that was left where it is asked for", async () => {
  const shown = await perform(operation("pitr.window"), setting.context(), {});
  expect(shown.output).toMatchObject({ windows: [{ timeline: 2 }, { timeline: 1 }] });

  for (const [timeline, numbers] of [
    [undefined, [1, 3]],
    [1, [1, 2]],
  ] as const) {
    const { output } = await setting.restore({ latest: true, timeline });
    const { port, directory } = output as Restored;
    const rows = await queryPort<{ n: number }>(port, "SELECT n FROM ledger ORDER BY n");
    await stopCluster(directory);

    expect(output).toMatchObject({ timeline: timeline ?? 2 });
    expect(rows.map((each) => each.n)).toEqual(numbers);
  }
}, 60_000);

it("what a lost server had not archived before its standby took over is no end of the log", async () => {
  const folder = setting.wal.path("store/pitr/main/wal/00000001");
  for (const each of await readdir(folder)) {
    if (/^[0-9A-F]{24}\.zst/.test(each) && each >= between) await rm(join(folder, each));
  }

  const shown = await perform(operation("pitr.window"), setting.context(), {});
  expect(shown.output).toMatchObject({ windows: [{ timeline: 2, missing: between }, { timeline: 1 }] });
  await expect(setting.restore({ latest: true })).rejects.toMatchObject({ code: "E_WAL_GAP" });

  const fetched = await setting.wal.asServer(["wal", "fetch", between, setting.wal.path("none")]);
  expect(fetched).toMatchObject({ exitCode: 255, stderr: expect.stringContaining("E_WAL_GAP") });
  const size = BigInt(16 * 2 ** 20);
  const last = segmentName({ timeline: 1, number: parseLsn(left) / size }, Number(size));
  expect(await setting.wal.asServer(["wal", "fetch", last, setting.wal.path("none")])).toMatchObject({
    exitCode: 1,
  });
}, 60_000);
