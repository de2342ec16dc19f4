import { afterAll, beforeAll, expect, it } from "vitest";
import { ReceiveSetting } from "./receiver.ts";
import { until } from "./setting.ts";

/** From before the command has read its configuration to where it archives segments, in milliseconds. */
const moments = Array.from({ length: 20 }, (_, index) => 150 + index * 110);

let setting: ReceiveSetting;

beforeAll(async () => {
  setting = await ReceiveSetting.start({ wal_keep_size: "2GB", max_wal_size: "4GB" });
  const first = await setting.receiver();
  await setting.untilDurable(await setting.write(0, 0));
  await setting.base("base");
  expect(await first.end()).toBe(0);
}, 60_000);
afterAll(() => setting.stop());

it("killed at twenty moments, a fresh receiver goes on, and a restore equals the server", async () => {
  const names: string[] = [];
  let last = "";
  for (const [round, moment] of moments.entries()) {
    const receiver = await setting.receiver();
    const killed = new Promise<number | null>((resolve) => {
      setTimeout(() => resolve(receiver.end("SIGKILL")), moment);
    });
    last = await setting.write(round * 100 + 1, round * 100 + 60);
    names.push(...(await setting.wal.fillSegments(2)));
    last = await setting.write(round * 100 + 61, round * 100 + 100);
    expect(await killed).toBeNull();
    for (const name of names) {
      if (!(await setting.wal.isInStore(name))) continue;
      expect((await setting.wal.archived(name)).equals(await setting.wal.read(name))).toBe(true);
    }
  }

  const fresh = await setting.receiver();
  await setting.untilDurable(last);
  await setting.wal.cluster.kill();
  expect(await fresh.end()).toBe(0);

  for (const name of names)
    expect((await setting.wal.archived(name)).equals(await setting.wal.read(name))).toBe(true);
  const whole = names.map((each) => `${each.slice(0, 8)}/${each}`);
  expect((await setting.liveParts()).filter((each) => whole.includes(each.slice(0, 33)))).toEqual([]);
  expect(await setting.wal.rowsOf(await setting.recover("base"), "ledger")).toBe(2001);
}, 300_000);

it("lost together with its server at six moments, everything that was confirmed is restored", async () => {
  await setting.restart();
  const before = await setting.receiver();
  await setting.base("newer");
  await setting.untilDurable(await setting.write(2001, 2001));
  await before.end();
  await setting.wal.cluster.kill();
  let most = 0;
  for (const [round, moment] of moments.slice(3, 15).entries()) {
    if (round % 2 === 1) continue;
    await setting.restart();
    const receiver = await setting.receiver();
    let confirmed = 0;
    const written = 3000 + round * 100;
    const writing = (async () => {
      for (let row = written; ; row += 10) {
        const lsn = await setting.write(row, row + 9);
        await setting.untilDurable(lsn);
        confirmed = row + 9;
      }
    })().catch(() => undefined);
    await receiver.says("receiving timeline");
    // Sometimes early, sometimes with something confirmed.
    if (round % 4 === 0) await until(async () => confirmed > 0, "something to be confirmed");
    await new Promise((resolve) => setTimeout(resolve, moment));
    await Promise.all([receiver.end("SIGKILL"), setting.wal.cluster.kill()]);
    await writing;
    most = Math.max(most, confirmed);
    const restored = await setting.recover("newer");
    const [row] = await setting.wal.queryOf<{ last: number }>(
      restored,
      "SELECT coalesce(max(n), 0) AS last FROM ledger",
    );
    await restored.kill();
    expect(row?.last).toBeGreaterThanOrEqual(confirmed);
  }
  expect(most).toBeGreaterThan(0);
}, 300_000);
