import { afterEach, expect, it } from "vitest";
import { ReceiveSetting } from "./receiver.ts";

let setting: ReceiveSetting;
afterEach(() => setting.stop());

it("a lost server costs what was not confirmed, not a segment", async () => {
  setting = await ReceiveSetting.start();
  const receiver = await setting.receiver();
  await receiver.says("receiving timeline 1");
  await setting.base("base");
  await setting.write(1, 1000);
  await setting.wal.fillSegments(2);
  await setting.untilDurable(await setting.write(1001, 1500));
  await setting.wal.cluster.kill();
  await receiver.says("the server keeps its log; again in");

  expect(await receiver.end()).toBe(0);
  expect(await setting.liveParts()).not.toEqual([]);
  expect(await setting.wal.rowsOf(await setting.recover("base"), "ledger")).toBe(1500);
});
