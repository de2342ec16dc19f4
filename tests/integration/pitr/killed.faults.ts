import { existsSync } from "node:fs";
import { readdir, readFile, rm } from "node:fs/promises";
import { basename, join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { postmasterPid, stopCluster } from "../../../src/postgres/cluster.ts";
import { type OpsResult, startOps } from "../../support/ops.ts";
import { PitrSetting, queryPort } from "./setting.ts";

let setting: PitrSetting;
const rows = 200_000;
const points = 20;

/** A base backup and so much WAL behind it that its replay takes a while. */
beforeAll(async () => {
  setting = await PitrSetting.start();
  await setting.wal.query("CREATE TABLE many (n int)");
  await setting.base();
  for (let part = 0; part < 8; part += 1) {
    const from = (part * rows) / 8;
    await setting.wal.query(
      `INSERT INTO many SELECT n FROM generate_series(${from + 1}, ${from + rows / 8}) n`,
    );
    await setting.wal.fillSegments(2);
  }
  const [last = ""] = await setting.wal.fillSegments(1);
  await setting.wal.untilArchived(last);
}, 300_000);
afterAll(() => setting.stop());

const options = () => ({ config: setting.wal.config, cwd: setting.wal.folder, timeout: 300_000 });
const run = (args: readonly string[]): Promise<OpsResult> => startOps([...args, "--yes"], options()).result;
const restore = (folder: string) => ["pitr", "restore", "--latest", "--start", "--target-dir", folder];

async function killedAfter(folder: string, milliseconds: number): Promise<OpsResult> {
  const running = startOps([...restore(folder), "--yes"], options());
  const timer = setTimeout(() => running.child.kill("SIGKILL"), milliseconds);
  const result = await running.result;
  clearTimeout(timer);
  return result;
}

const leftOf = async (folder: string) =>
  (await readdir(setting.wal.folder)).filter((each) => each.startsWith(basename(folder)));

async function expectWhole(folder: string, where: string): Promise<void> {
  const port = Number((await readFile(join(folder, "postmaster.pid"), "utf8")).split("\n")[3]);
  expect(await queryPort(port, "SELECT count(*)::int AS n FROM many"), where).toEqual([{ n: rows }]);
  await stopCluster(folder);
}

describe("pitr restore, killed with SIGKILL", () => {
  it("at 20 points of its time, its replay included: is resumed to the very rows, or taken back to nothing", async () => {
    const whole = setting.newFolder();
    const began = performance.now();
    expect(await run(restore(whole))).toMatchObject({ exitCode: 0 });
    const took = performance.now() - began;
    await expectWhole(whole, "undisturbed");
    let replaying = 0;
    for (let point = 1; point <= points; point += 1) {
      const folder = setting.newFolder();
      const after = Math.round((point * took) / (points + 1));
      const where = `after ${after} of ${Math.round(took)} ms`;
      const { signal } = await killedAfter(folder, after);
      if (existsSync(`${folder}.log`) && signal === "SIGKILL") replaying += 1;
      const hasBegun = existsSync(`${folder}.ops-restore`);
      if (point % 4 === 0 && hasBegun && signal === "SIGKILL") {
        const back = await run(["runs", "rollback", "last"]);
        expect(back.stderr + back.stdout, where).toContain("is removed");
        expect(await leftOf(folder), where).toEqual([]);
        continue;
      }
      const ended = hasBegun && signal === "SIGKILL" ? await run(["runs", "resume", "last"]) : undefined;
      if (ended !== undefined) expect(ended, `${where}: ${ended.stderr}`).toMatchObject({ exitCode: 0 });
      else if (signal === "SIGKILL") expect(await run(restore(folder)), where).toMatchObject({ exitCode: 0 });
      await expectWhole(folder, where);
      expect(await postmasterPid(folder), where).toBeUndefined();
      for (const each of await leftOf(folder)) await rm(setting.wal.path(each), { recursive: true });
    }
    expect(replaying).toBeGreaterThan(2);
  });
});
