import { mkdir, readdir, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { runtimeCommand, runtimeLines } from "../../src/haproxy/runtime-socket.ts";
import { markedProcesses } from "../../src/sandbox/process-table.ts";
import type { SandboxStatus } from "../../src/sandbox/status.ts";
import { perform, testContext } from "../support/context.ts";
import { sandboxOperation, startSandbox, type TestSandbox } from "../support/sandbox.ts";

describe("a sandbox", () => {
  let sandbox: TestSandbox;

  beforeAll(async () => {
    sandbox = await startSandbox();
  });

  afterAll(async () => {
    await sandbox?.down();
  });

  beforeEach(async () => {
    await sandbox.reset();
  });

  const status = async () =>
    (await perform(sandboxOperation("status"), testContext({}), { dir: sandbox.dir }))
      .output as SandboxStatus;
  const get = async (url: string) => {
    const response = await fetch(url);
    return { status: response.status, body: (await response.json()) as Record<string, unknown> };
  };
  const migrateBy = (...statements: string[]) => sandbox.query(statements.join(";"));

  it("has four healthy processes, and the status names their ports and the URLs", async () => {
    const { state, processes, urls, config } = await status();

    expect(state).toBe("up");
    expect(processes.map(({ name, health }) => [name, health])).toEqual([
      ["database", "healthy"],
      ["balancer", "healthy"],
      ["blue", "healthy"],
      ["green", "healthy"],
    ]);
    expect(urls).toEqual(sandbox.urls);
    expect(config).toBe(join(sandbox.dir, ".opsrc"));
  });

  it("answers through the balancer with version 1 alone at first", async () => {
    for (let n = 0; n < 10; n += 1) {
      expect(await get(sandbox.urls.application)).toEqual({
        status: 200,
        body: { version: 1, orders: 500, sessionPooling: false },
      });
    }
  });

  it("leaves it to the balancer to end idle connections", async () => {
    const { headers } = await fetch(`${sandbox.urls.green}health`);
    expect([headers.get("connection"), headers.get("keep-alive")]).toEqual(["keep-alive", null]);
  });

  it("has a version 2 that needs the schema of migrations 0002 and 0003, and is healthy before", async () => {
    expect((await get(`${sandbox.urls.green}health`)).status).toBe(200);
    expect((await get(sandbox.urls.green)).status).toBe(500);

    await migrateBy(
      "ALTER TABLE orders ADD COLUMN status text NOT NULL DEFAULT 'placed'",
      "CREATE TABLE sessions ()",
    );

    expect((await get(sandbox.urls.green)).body).toMatchObject({ version: 2, open: 500, sessions: 0 });
    expect((await get(sandbox.urls.blue)).body).toMatchObject({ version: 1, orders: 500 });
  });

  it("reads the flag, off until the rollout reaches the user", async () => {
    await sandbox.query(`
      CREATE TABLE ops.flag (name text PRIMARY KEY, definition json);
      CREATE TABLE ops.flag_shared (kind text, name text, position integer, definition json);
      CREATE TABLE ops.flag_change ()`);
    expect((await get(sandbox.urls.blue)).body.sessionPooling).toBe(false);

    await sandbox.query(`INSERT INTO ops.flag VALUES ('session-pooling', '{"state": "ENABLED",
      "variants": {"on": true, "off": false}, "defaultVariant": "off",
      "targeting": {"fractional": [["on", 10], ["off", 90]]}}')`);
    const answers = await Promise.all(
      Array.from({ length: 200 }, (_, n) => get(`${sandbox.urls.blue}?user=u${n}`)),
    );
    const on = answers.filter((each) => each.body.sessionPooling === true).length;

    expect(on).toBeGreaterThan(5);
    expect(on).toBeLessThan(50);
  });

  it("fails and slows down as it is told, and refuses nonsense", async () => {
    await sandbox.control("blue", { failRate: 1 });
    expect((await get(sandbox.urls.application)).status).toBe(500);
    expect((await get(`${sandbox.urls.blue}health`)).status).toBe(200);

    await sandbox.control("blue", { failRate: 0, latencyMs: 120 });
    const started = performance.now();
    expect((await get(sandbox.urls.application)).status).toBe(200);
    expect(performance.now() - started).toBeGreaterThan(115);

    await expect(sandbox.control("blue", { failRate: 2 })).rejects.toThrow(/400/);
  });

  it("takes absolute weights at run time and tells each request to whoever follows the ring", async () => {
    await migrateBy(
      "ALTER TABLE orders ADD COLUMN status text NOT NULL DEFAULT 'placed'",
      "CREATE TABLE sessions ()",
    );
    await runtimeCommand(sandbox.layout.balancerSocket, "set weight web/green 100");
    const lines: string[] = [];
    const following = new AbortController();
    const follower = (async () => {
      for await (const line of runtimeLines(
        sandbox.layout.balancerSocket,
        "show events requests -w -n",
        following.signal,
      )) {
        if (line !== "" && lines.push(line) === 10) return;
      }
    })();
    // The follower sees what comes after it: let it subscribe.
    await new Promise((done) => setTimeout(done, 100));

    for (let n = 0; n < 10; n += 1) await get(sandbox.urls.application);
    await follower;
    following.abort();

    expect(lines.every((line) => /^web (blue|green) 200 \d+$/.test(line))).toBe(true);
    expect(lines.filter((line) => line.startsWith("web green"))).toHaveLength(5);
  });

  it("is, after a reset, as it was right after its start", async () => {
    await sandbox.query("DROP TABLE orders");
    await sandbox.query("CREATE DATABASE restored");
    await sandbox.query("CREATE TABLE ops.flag (name text)");
    await sandbox.control("green", { failRate: 0.5, latencyMs: 10 });
    await runtimeCommand(sandbox.layout.balancerSocket, "set weight web/blue 0; set weight web/green 100");
    await runtimeCommand(sandbox.layout.balancerSocket, "set server web/blue state drain");
    await mkdir(sandbox.layout.state, { recursive: true });
    await writeFile(join(sandbox.layout.state, "journal.sqlite"), "");
    await writeFile(join(sandbox.layout.backups, "b1"), "");

    await sandbox.reset();

    expect((await get(sandbox.urls.application)).body).toEqual({
      version: 1,
      orders: 500,
      sessionPooling: false,
    });
    expect((await get(`${sandbox.urls.green}control`)).body).toEqual({ failRate: 0, latencyMs: 0 });
    expect(await sandbox.query("SELECT datname FROM pg_database WHERE datname = 'restored'")).toEqual([]);
    expect(await sandbox.query("SELECT to_regclass('ops.flag') AS flags")).toEqual([{ flags: null }]);
    expect(await runtimeCommand(sandbox.layout.balancerSocket, "get weight web/green")).toMatch(/^0 /);
    expect(await runtimeCommand(sandbox.layout.balancerSocket, "get weight web/blue")).toMatch(/^100 /);
    expect(await readdir(sandbox.layout.backups)).toEqual([]);
    await expect(stat(sandbox.layout.state)).rejects.toMatchObject({ code: "ENOENT" });
  });

  it("changes nothing when it is started again", async () => {
    const before = await status();

    const { changes, output, report } = await perform(sandboxOperation("up"), testContext({}), {
      dir: sandbox.dir,
    });

    expect(changes).toEqual([]);
    expect(output).toEqual(before);
    expect(report.lines).toEqual([`The sandbox in ${sandbox.dir} is up already`]);
  });

  it("lives beside another one, which takes only its own processes down", async () => {
    const other = await startSandbox();
    try {
      expect(new Set([...Object.values(other.ports), ...Object.values(sandbox.ports)]).size).toBe(10);
    } finally {
      await other.down();
    }

    expect(await markedProcesses(other.layout)).toEqual([]);
    await expect(stat(other.dir)).rejects.toMatchObject({ code: "ENOENT" });
    expect((await status()).state).toBe("up");
  });

  it("says which process is gone, and is made anew by the next start", async () => {
    const broken = await startSandbox();
    try {
      const found = (await perform(sandboxOperation("status"), testContext({}), { dir: broken.dir }))
        .output as SandboxStatus;
      process.kill(Number(found.processes.find((each) => each.name === "green")?.pid), "SIGKILL");

      const { changes, output } = await perform(sandboxOperation("up"), testContext({}), { dir: broken.dir });

      expect(changes.map((each) => each.action)).toEqual(["delete", "create"]);
      expect(output).toMatchObject({ state: "up" });
    } finally {
      await broken.down();
    }
    expect(await markedProcesses(broken.layout)).toEqual([]);
  });
});
