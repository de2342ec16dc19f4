import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { stringify } from "yaml";
import type { Cluster } from "../../../src/postgres/cluster.ts";
import type { WatchReport } from "../../../src/watch/report.ts";
import { startHttpServer, type TestHttpServer } from "../../support/http-server.ts";
import { ops } from "../../support/ops.ts";
import { startTestCluster } from "../../support/postgres.ts";
import { until, WatchSite, watchWords } from "./site.ts";

describe("a release with its database and its application", () => {
  let cluster: Cluster;
  let server: TestHttpServer;
  let folder: string;
  let status = 200;

  beforeAll(async () => {
    [cluster, server, folder] = await Promise.all([
      startTestCluster(),
      startHttpServer((_request, response) => response.writeHead(status).end("well")),
      mkdtemp(join(tmpdir(), "ops-watch-release-")),
    ]);
    const undo = ["sh", "-c", "echo taken back >> undone"];
    await writeFile(
      join(folder, "deploy.yaml"),
      stringify({
        name: "deploy",
        steps: [{ id: "switch", uses: "shell.run", with: { command: ["true"], undo } }],
      }),
    );
    await writeFile(
      join(folder, ".opsrc"),
      stringify({
        databases: { main: { url: cluster.url() } },
        gates: {
          after: {
            checks: [
              { id: "health", kind: "http", with: { url: `${server.url}/health` } },
              { id: "orders", kind: "sql", with: { query: "SELECT 1" }, fail: "> 5" },
            ],
          },
        },
        watches: {
          release: {
            gate: "after",
            for: "60s",
            every: "100ms",
            triggers: ["health 4 in a row", { check: "orders", for: "300ms" }],
          },
        },
      }),
    );
  });
  afterAll(async () => {
    await Promise.all([cluster?.stop(), server?.stop()]);
    await rm(folder, { recursive: true, force: true });
  });

  test("a database that goes away triggers, and the release is taken back by ops itself, once", async () => {
    const run = (args: string[]) => ops(args, { cwd: folder });
    expect((await run(["run", "deploy.yaml", "--yes"])).exitCode).toBe(0);
    const [deploy] = JSON.parse((await run(["runs", "list", "--json"])).stdout).runs;
    const watch = run(["watch", "release", "--on-fail", `ops runs rollback ${deploy.run}`, "--json"]);
    await until(() => server.requests.length >= 3, "it looks");
    // Three times bad is not four times.
    const seen = server.requests.length;
    status = 500;
    await until(() => server.requests.length >= seen + 2, "it has seen it");
    status = 200;
    await until(() => server.requests.length >= seen + 6, "it goes on");

    await cluster.stop();
    const { exitCode, stdout, stderr } = await watch;

    expect(exitCode, stderr).toBe(3);
    expect(JSON.parse(stdout)).toMatchObject({
      status: "failed",
      error: { code: "E_WATCH_TRIGGERED", details: { verdict: "triggered", action: { state: "done" } } },
    });
    const report = JSON.parse((await run(["watch", "report", "--json"])).stdout) as WatchReport;
    expect(report.trigger?.triggers).toEqual(["orders for 300ms"]);
    expect(report.checks.find(({ id }) => id === "orders")).toMatchObject({ failures: 1 });
    expect(report.action?.output.join("\n")).toContain("rolled back");
    const runs = JSON.parse((await run(["runs", "list", "--json"])).stdout).runs;
    expect(runs.map((each: { status: string }) => each.status)).toEqual(["failed", "rolled-back"]);
    const page = await run(["runs", "report", "last", "--html"]);
    expect(page.stdout).toContain("ms, health");
  });
});

describe("a watch of a file", () => {
  let site: WatchSite;
  beforeEach(() => {
    site = new WatchSite();
  });
  afterEach(() => site.remove());

  const looks = () => site.record()?.state.looks ?? 0;
  const phase = () => site.record()?.state.phase;

  test("Ctrl-C leaves it to be resumed with what it has seen, stop ends it, and a log hears only of changes", async () => {
    const first = site.start(watchWords("--failures-in-a-row", "500", "--on-fail", "./act"));
    await until(() => looks() >= 3, "it looks");
    site.write("rate", "7%\n");
    await until(() => (site.record()?.state.noGoes ?? 0) >= 1, "a bad look");
    site.write("rate", "1%\n");
    first.child.kill("SIGINT");
    const interrupted = await first.result;
    const { looks: before, noGoes } = await site.report();
    const cut = await site.ops(["watch", "list", "--json"]);

    const second = site.start(["runs", "resume", "last", "--yes"]);
    await until(() => looks() > before + 2, "it goes on");
    const other = await site.ops(["watch", "list", "--json"]);
    const stopped = await site.ops(["watch", "stop", "last", "--reason", "enough\n\u001b[31m"]);
    const resumed = await second.result;

    expect(interrupted.exitCode).toBe(130);
    expect(JSON.parse(cut.stdout).watches).toMatchObject([{ standing: "cut-off", gate: "release" }]);
    expect(JSON.parse(other.stdout).watches).toMatchObject([{ standing: "watching" }]);
    expect(stopped).toMatchObject({ exitCode: 0 });
    expect(resumed.exitCode, resumed.stderr).toBe(0);
    const report = await site.report();
    expect(report).toMatchObject({
      verdict: "stopped",
      noGoes,
      stopped: { reason: "enough \\u{1b}[31m" },
    });
    expect(site.lines("acted")).toEqual([]);
    expect(interrupted.stderr.split("\n").filter((line) => line.includes("watch-run:")).length).toBeLessThan(
      6,
    );
    expect((await site.ops(["watch", "stop", "last"])).exitCode).toBe(2);
  });

  // Entry 7 is the trigger, 8 the intent, 9 the process before it may do anything, 10 its end, 11 the watch's end.
  test.each([
    [8, "after"],
    [9, "after"],
    [10, "before"],
  ] as const)("killed at entry %i, %s it is durable: the action has run once", async (entry, when) => {
    site.write("rate", "7%\n");
    const words = watchWords("--failures-in-a-row", "1", "--on-fail", "./act");
    const killed = await site.killedAt(entry, when, words);
    expect(killed.signal, killed.stderr).toBe("SIGKILL");

    const resumed = await site.ops(["runs", "resume", "last", "--yes"]);

    expect(resumed.exitCode, resumed.stderr).toBe(3);
    expect(site.lines("acted")).toEqual(["release rate: 7%, limit > 5%"]);
    expect(await site.report()).toMatchObject({
      verdict: "triggered",
      action: { state: "done", exitCode: 0, repeated: false, output: ["the action was here"] },
    });
  });

  test("an action that was cut off itself is reported, and run again only where that is safe", async () => {
    site.write("rate", "7%\n");
    site.write("act", "#!/bin/sh\necho once >> acted\n[ -e twice ] || exec sleep 600\n");
    const watch = site.start(watchWords("--failures-in-a-row", "1", "--on-fail", "./act"));
    await until(() => site.lines("acted").length === 1, "it acts");
    watch.child.kill("SIGKILL");
    await watch.result;
    // As a power cut does: nobody is left to tell how it ended.
    process.kill(-(site.record()?.state.action?.process?.pid ?? Number.NaN), "SIGKILL");

    const resumed = await site.ops(["runs", "resume", "last", "--yes"]);

    expect(resumed.exitCode, resumed.stderr).toBe(5);
    expect(resumed.stderr).toContain("E_WATCH_ACTION_UNKNOWN");
    expect(site.lines("acted")).toEqual(["once"]);
    expect(await site.report()).toMatchObject({ action: { state: "unknown" } });
  });

  test("an action that finds a lock held is tried again, and one that fails needs a person", async () => {
    site.write("rate", "7%\n");
    const lock = {
      name: "lock",
      steps: [{ id: "wait", uses: "shell.run", with: { command: ["sh", "wait"] } }],
    };
    site.write("wait", "echo begun >> begun\nwhile [ ! -e free ]; do sleep 0.1; done\nexit 1\n");
    site.write("lock.yaml", stringify(lock));
    const holder = site.start(["run", "lock.yaml", "--yes"]);
    await until(() => site.lines("begun").length === 1, "the run is held");
    const [held] = await site.runs();
    const words = ["--failures-in-a-row", "1", "--on-fail", `ops runs rollback ${held?.run}`];
    const watch = site.start(watchWords(...words));
    await until(() => site.record()?.state.action?.state === "retrying", "it waits");
    site.write("free", "");
    await holder.result;

    const { exitCode, stderr } = await watch.result;

    // There is no way back for a program without undo.
    expect(exitCode, stderr).toBe(5);
    const { action } = await site.report();
    expect(action).toMatchObject({ state: "failed", exitCode: 5 });
    expect(action?.attempt).toBeGreaterThan(1);
    expect(stderr).toContain("found a lock held by somebody else");
  });

  test("a command of ops that could not run is refused before anything is watched", async () => {
    const { exitCode, stderr } = await site.ops(
      watchWords("--on-fail", "ops runs rollbak 20260101-000000-abcd"),
    );

    expect(exitCode, stderr).toBe(2);
    expect(stderr).toContain("unknown command 'rollbak'");
    expect(site.record()).toBeUndefined();
  });

  test("a step that waits fails on a trigger, and the runbook takes back what it did", async () => {
    const steps = [
      {
        id: "switch",
        uses: "shell.run",
        with: { command: ["true"], undo: ["sh", "-c", "echo back >> back"] },
      },
      { id: "watch", uses: "watch.run", with: { gate: "release", for: "60s", every: "100ms" } },
    ];
    site.write("deploy.yaml", stringify({ name: "deploy", "on-failure": "rollback", steps }));
    site.write("rate", "7%\n");

    const { exitCode, stderr } = await site.ops(["run", "deploy.yaml", "--yes"]);

    expect(exitCode, stderr).toBe(4);
    expect(site.lines("back")).toEqual(["back"]);
    expect(stderr).toContain("no-go 3 in a row");
  });

  test("a step leaves its watch behind, which a tick takes up again, and which acts once", async () => {
    const watch = { gate: "release", for: "60s", every: "100ms", "on-fail": "./act", background: true };
    const steps = [{ id: "watch", uses: "watch.run", with: watch }];
    site.write("deploy.yaml", stringify({ name: "deploy", steps }));

    const deploy = await site.ops(["run", "deploy.yaml", "--yes", "--json"]);
    const { run } = JSON.parse(deploy.stdout).steps[0].output as { run: string };
    await until(() => looks() >= 2, "it looks");
    const first = site.record()?.process.pid ?? Number.NaN;
    process.kill(first, "SIGKILL");
    const before = JSON.parse((await site.ops(["watch", "list", "--json"])).stdout);
    let ticks = "";
    await until(async () => {
      ticks += (await site.ops(["schedule", "run-due"])).stdout;
      return site.record()?.process.pid !== first;
    }, "it goes on");
    site.write("rate", "7%\n");
    await until(() => phase() === "over", "it acts");
    await until(async () => (await site.runs())[0]?.status === "failed", "its run ends");
    const later = await site.ops(["schedule", "run-due"]);

    expect(deploy.exitCode, deploy.stderr).toBe(0);
    expect(deploy.stderr).toContain("schedule install --cron");
    expect(before.watches).toMatchObject([{ run, standing: "cut-off" }]);
    expect(ticks.match(/↻/g)).toHaveLength(1);
    expect(ticks).toContain(`↻ run ${run}, left behind, goes on`);
    expect(site.lines("acted")).toHaveLength(1);
    expect(await site.report()).toMatchObject({ run, verdict: "triggered" });
    expect(later).toMatchObject({ exitCode: 0, stdout: "" });
    expect((await site.runs()).map(({ name }) => name)).toEqual(["watch-release", "deploy"]);
  });

  test("a release that is taken back ends the watch that it left behind", async () => {
    const watch = { gate: "release", for: "60s", every: "100ms", background: true };
    const steps = [
      { id: "watch", uses: "watch.run", with: watch },
      { id: "last", uses: "shell.run", with: { command: ["false"] } },
    ];
    site.write("deploy.yaml", stringify({ name: "deploy", "on-failure": "rollback", steps }));

    const deploy = await site.ops(["run", "deploy.yaml", "--yes"]);
    await until(() => phase() === "over", "it is stopped");

    expect(deploy.stderr).toContain("was asked to stop");
    expect(await site.report()).toMatchObject({ verdict: "stopped" });
  });
});
