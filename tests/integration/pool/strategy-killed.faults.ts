import { existsSync } from "node:fs";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { readBackend } from "../../../src/haproxy/backend-state.ts";
import { Load } from "../../support/haproxy.ts";
import { ops } from "../../support/ops.ts";
import { type PoolBalancer, startPoolBalancer } from "../../support/pool-balancer.ts";

let balancer: PoolBalancer;
beforeAll(async () => {
  balancer = await startPoolBalancer();
});
afterAll(async () => {
  await balancer?.[Symbol.asyncDispose]();
});

const killOps = "kill -9 $PPID";
const algorithm = async () => (await readBackend(balancer.socket, "web")).algorithm;

/** A configuration whose check or reload kills ops, and one that works. */
async function configs(killing: object): Promise<{ killing: string; working: string }> {
  const write = async (name: string, configuration: object) => {
    const path = join(balancer.directory, name);
    await writeFile(path, JSON.stringify(balancer.settings({}, configuration)));
    return path;
  };
  return { killing: await write("killing.yaml", killing), working: await write("working.yaml", {}) };
}

const withReload = (script: string) => ({ "master-socket": undefined, reload: ["sh", "-c", script] });
const points = [
  ["while the new file is checked", () => ({ check: ["sh", "-c", `${killOps} # {file}`] })],
  ["between the new file and the reload", () => withReload(killOps)],
  [
    "when HAProxy has just been told to reload",
    () => withReload(`kill -USR2 ${balancer.master}; ${killOps}`),
  ],
  ["when the new worker answers", () => withReload(`kill -USR2 ${balancer.master}; sleep 1; ${killOps}`)],
] as const;

test.each(
  points.flatMap(([point, killing]) =>
    (["the next call finishes it", "a roll-back takes it back"] as const).map(
      (way) => [point, way, killing] as const,
    ),
  ),
)("killed with SIGKILL %s: no request is lost, and %s", async (_, way, killing) => {
  const paths = await configs(killing());
  const words = ["pool", "strategy", "least-connections", "--yes"];
  const cwd = balancer.directory;
  const load = new Load(balancer.port, 8, 2);

  const killed = await ops(words, { config: paths.killing, cwd });
  expect(killed.signal).toBe("SIGKILL");
  const [, id = ""] = /run (\S+): pool\.strategy/.exec(killed.stderr) ?? [];
  const isBack = way.startsWith("a roll-back");
  const next = isBack
    ? await ops(["runs", "rollback", id, "--yes"], { config: paths.working, cwd })
    : await ops(words, { config: paths.working, cwd });
  const { failed } = await load.stop();

  expect(next.exitCode).toBe(0);
  const wanted = isBack ? "roundrobin" : "leastconn";
  expect(await algorithm()).toBe(wanted);
  expect(await readFile(balancer.file, "utf8")).toContain(`  balance ${wanted}\n`);
  expect(failed).toBe(0);
  if (!isBack) await ops(["pool", "strategy", "round-robin", "--yes"], { config: paths.working, cwd });
  expect(await algorithm()).toBe("roundrobin");
  expect(existsSync(`${balancer.file}.ops-new`)).toBe(false);
});
