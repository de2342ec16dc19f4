import { afterAll, expect, it, vi } from "vitest";
import { stopCluster } from "../../../src/postgres/cluster.ts";
import { ReceiveSetting } from "../wal/receiver.ts";
import { queryPort } from "./setting.ts";

// Several servers and commands one after the other.
vi.setConfig({ testTimeout: 240_000 });

let setting: ReceiveSetting;
const restored: string[] = [];
afterAll(async () => {
  for (const each of restored) await stopCluster(each);
  await setting.stop();
});

const ops = async (...args: string[]) => {
  const { exitCode, stdout, stderr } = await setting.wal.asServer([...args, "--json"]);
  if (exitCode !== 0) throw new Error(stderr);
  return JSON.parse(stdout);
};

async function rowsAfterRestore(...target: string[]): Promise<number> {
  const directory = setting.wal.path(`to${target.join("").replace(/\W/g, "")}`);
  restored.push(directory);
  const { steps } = await ops("pitr", "restore", ...target, "--target-dir", directory, "--start");
  const port = steps.at(-1).output.port;
  const [row] = await queryPort<{ count: number }>(port, "SELECT count(*)::int AS count FROM ledger");
  return row?.count ?? 0;
}

it("a base backup and what was received restore a lost server, to a position in the open segment and to the end", async () => {
  setting = await ReceiveSetting.start();
  const receiver = await setting.receiver();
  await receiver.says("receiving timeline 1");
  await setting.write(1, 10);
  await ops("pitr", "base", "create");
  await setting.wal.fillSegments(1);
  const position = await setting.write(11, 20);
  await setting.untilDurable(await setting.write(21, 30));
  await setting.wal.cluster.kill();
  expect(await receiver.end()).toBe(0);

  const { windows } = await ops("pitr", "window");

  expect(windows).toEqual([expect.objectContaining({ timeline: 1, live: true, missing: null })]);
  expect(await rowsAfterRestore("--to-lsn", position)).toBe(20);
  expect(await rowsAfterRestore("--latest")).toBe(30);
});
