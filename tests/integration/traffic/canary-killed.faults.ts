import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import { RuntimeMap } from "../../../src/haproxy/runtime-map.ts";
import { shift } from "../../../src/traffic/shift.ts";
import { perform, testContext } from "../../support/context.ts";
import { type Balancer, Load, startBalancer } from "../../support/haproxy.ts";
import { ops, projectRoot } from "../../support/ops.ts";
import { until } from "../wal/setting.ts";

/** The route has users who stay and testers: each change is one of the running HAProxy and one of a file. */
const hook = fileURLToPath(new URL("../../support/kill-at-traffic.mjs", import.meta.url));
const words = ["traffic", "canary", "green", "--steps", "30%,pause:100ms,100%", "--unpromoted", "promote"];
const quick = ["--bake", "150ms", "--interval", "50ms", "--min-requests", "3", "--compare", "learn=0s"];
const points = 20;

let balancer: Balancer;
let load: Load;
let root: string;

beforeAll(async () => {
  balancer = await startBalancer({ people: "buckets and testers" });
  load = new Load(balancer.port, 4, 5, 1000);
  root = await mkdtemp(join(tmpdir(), "ops-canary-killed-"));
});
afterAll(async () => {
  await load.stop();
  await balancer[Symbol.asyncDispose]();
  await rm(root, { recursive: true, force: true });
});

/** A folder of its own for each attempt, as a machine that has seen no canary yet. */
async function fresh(name: string) {
  const directory = join(root, name);
  await mkdir(directory);
  const config = join(directory, "opsrc.yaml");
  await writeFile(config, JSON.stringify(balancer.settings()));
  await perform(shift, testContext(balancer.settings(), { directory }), { to: "blue", confirm: "0s" });
  const canary = async (more: readonly string[], variables: Record<string, string>) => {
    const args = [...words, ...quick, "--testers", "alice", ...more, "--yes", "--config", config];
    const child = spawn(process.execPath, ["--import", hook, join(projectRoot, "bin/ops"), ...args], {
      cwd: directory,
      stdio: "ignore",
      env: { ...process.env, KILL_FOLDERS: `${directory}/.ops/traffic:${balancer.directory}`, ...variables },
    });
    return (await once(child, "exit")) as [number | null, NodeJS.Signals | null];
  };
  const run = (args: readonly string[]) => ops([...args, "--yes"], { config, cwd: directory });
  return { directory, canary, run };
}

/** What the running HAProxy does, and what it would do after a reload. */
async function state() {
  const maps = ["web.buckets", "web.testers"].map((name) => join(balancer.directory, name));
  const [buckets, testers] = await Promise.all(
    maps.map(async (path) => new RuntimeMap(balancer.socket, path).read()),
  );
  const files = await Promise.all(maps.map((path) => readFile(path, "utf8")));
  const green = [...(buckets ?? [])].filter(([, server]) => server === "green").length;
  const inFiles = files.map((text) => text.match(/ green$/gm)?.length ?? 0);
  return { green, testers: testers?.size, inFiles };
}
const before = { green: 0, testers: 0, inFiles: [0, 0] };
const after = { green: 1000, testers: 0, inFiles: [1000, 0] };

test("a canary killed with SIGKILL at any of its changes leaves safe traffic, and is resumed or aborted", async () => {
  const whole = await fresh("whole");
  const count = join(whole.directory, "count");
  expect(await whole.canary([], { KILL_COUNT: count })).toEqual([0, null]);
  expect(await state()).toEqual(after);
  const changes = Number(await readFile(count, "utf8"));
  expect(changes).toBeGreaterThan(points / 2);

  for (let point = 0; point < points; point += 1) {
    const at = 1 + Math.round((point * (changes - 1)) / (points - 1));
    const when = point % 2 === 0 ? "before" : "after";
    const isResumed = point % 4 < 2;
    const what = `killed ${when} change ${at} of ${changes}, then ${isResumed ? "resumed" : "aborted"}`;
    const { canary, run, directory } = await fresh(String(point));
    const crash = ["--on-crash", isResumed ? "return" : "hold"];
    const variables = { KILL_AT_CHANGE: String(at), KILL_WHEN: when };
    expect(await canary(crash, variables), what).toEqual([null, "SIGKILL"]);

    if (isResumed) {
      // The watchdog first: nobody has to do anything for the traffic to be safe.
      const isSafe = async () => {
        const record = await readFile(join(directory, ".ops/traffic/default.web.canary.json")).catch(
          () => null,
        );
        return record === null;
      };
      await until(isSafe, `the watchdog (${what})`);
      const safe = await state();
      if (safe.green !== 1000) expect(safe, what).toEqual(before);
      const resumed = await run(["runs", "resume", "last"]);
      expect(resumed, `${what}\n${resumed.stderr}`).toMatchObject({ exitCode: 0 });
      expect(await state(), what).toEqual(after);
      continue;
    }
    const aborted = await run(["traffic", "abort", "web"]);
    // Before its record is there a canary has changed nothing, and after it nothing is left to abort.
    if (aborted.exitCode === 2) expect(aborted.stderr, what).toContain("E_NO_CANARY");
    else expect(aborted, `${what}\n${aborted.stderr}`).toMatchObject({ exitCode: 0 });
    const back = await run(["runs", "rollback", "last"]);
    expect(back, `${what}\n${back.stderr}`).toMatchObject({ exitCode: 0 });
    expect(await state(), what).toEqual(before);
  }
});
