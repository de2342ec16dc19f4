import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { ops, startOps } from "../support/ops.ts";

describe("ops load run", () => {
  let server: Server;
  let url: string;
  let folder: string;
  let asked = 0;
  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), "ops-load-"));
    server = createServer((_, response) => {
      asked += 1;
      setTimeout(() => response.end("ok"), 2);
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
    writeFileSync(join(folder, ".opsrc"), "{}\n");
  });
  afterAll(() => {
    server.closeAllConnections();
    server.close();
    rmSync(folder, { recursive: true, force: true });
  });

  const connections = () =>
    new Promise<number>((resolve) => server.getConnections((_, count) => resolve(count)));

  test("takes thresholds as they are written, and ends with 3 where one is missed", async () => {
    const base = ["load", "run", "--url", url, "--users", "5", "--duration", "2", "--ramp-up", "0.5"];
    const kept = await ops([...base, "--threshold", "p95<2s", "error-rate<50%", "--json"], { cwd: folder });
    const missed = await ops([...base, "--threshold", "p95<1ms"], { cwd: folder });

    expect(kept.exitCode, kept.stderr).toBe(0);
    expect(JSON.parse(kept.stdout)).toMatchObject({ steps: [{ output: { verdict: "pass", users: 5 } }] });
    expect(missed.exitCode).toBe(3);
    expect(missed.stderr).toContain("✗ p95<1ms: p95 ");
    expect(missed.stderr).toContain("E_LOAD_THRESHOLD");
  });

  test("leaves no load behind when it is killed, and ends cleanly when it is asked to", async () => {
    const killed = startOps(["load", "run", "--url", url, "--users", "5", "--duration", "1h"], {
      cwd: folder,
    });
    const before = asked;
    await vi.waitUntil(() => asked > before + 50, { timeout: 30_000 });
    killed.child.kill("SIGKILL");
    await killed.result;
    await vi.waitUntil(async () => (await connections()) === 0, { timeout: 10_000, interval: 20 });
    const over = asked;

    const { child, result } = startOps(["load", "run", "--url", url, "--users", "5", "--duration", "1h"], {
      cwd: folder,
    });
    await vi.waitUntil(() => asked > over + 50, { timeout: 30_000 });
    child.kill("SIGINT");
    const ended = await result;
    expect(ended.exitCode, ended.stderr).toBe(130);
    expect(ended.stderr).toMatch(/load url on http.*: 5 users, measured for/);
    expect(await connections()).toBe(0);
  });
});
