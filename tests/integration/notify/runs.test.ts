import { spawn } from "node:child_process";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import type { ServerResponse } from "node:http";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { childEnvironment } from "../../../src/process/run-program.ts";
import { startHttpServer, type TestHttpServer } from "../../support/http-server.ts";
import { projectRoot, type RunningOps } from "../../support/ops.ts";
import { Site, shell } from "../schedule/site.ts";

let site: Site;
let server: TestHttpServer;
let answer: (response: ServerResponse) => void;
const ok = (response: ServerResponse) => response.writeHead(200).end();
const down = (response: ServerResponse) => response.writeHead(503).end("try later");

beforeEach(async () => {
  site = new Site();
  answer = ok;
  server = await startHttpServer((_request, response) => answer(response));
});
afterEach(async () => {
  await server.stop();
  site.remove();
});

/** A runbook of steps of shell. */
function runbook(...lines: string[]): string {
  const steps = lines.map((line, index) => ({
    id: `s${index + 1}`,
    uses: "shell.run",
    with: { command: ["sh", "-c", line] },
  }));
  writeFileSync(site.path("deploy.json"), JSON.stringify({ name: "deploy", steps }));
  return "deploy.json";
}
const run = (...args: string[]) => site.ops(["run", "deploy.json", "--yes", ...args]);
const told = () => server.requests.map(({ body }) => JSON.parse(body) as Record<string, unknown>);
const events = () => told().map(({ event }) => event);
const web = () => ({ web: { url: `${server.url}/in` } });
const flush = (...args: string[]) => site.ops(["notify", "flush", ...args]);
async function waiting(): Promise<{ to: string; event: string; state: string; problem: string | null }[]> {
  return JSON.parse((await site.ops(["notify", "outbox", "--json"])).stdout).notices;
}

describe("a run", () => {
  it("tells whom rules name, in their words, each once, and nobody of what was before the rules", async () => {
    site.configure({});
    runbook("true");
    await run();
    site.configure({
      notifications: { ...web(), file: { kind: "file", file: "told" } },
      notify: {
        all: { events: ["run.*"], to: ["web"] },
        again: { events: ["*"], runbooks: ["dep*"], to: ["web"] },
        worst: { events: ["*"], severity: "error", to: ["file"], title: "${{ notice.step }}: ${{ title }}" },
        others: { events: ["*"], runbooks: ["other"], environments: ["production"], to: ["file"] },
      },
    });
    runbook("true", "exit 3");

    const { exitCode } = await run();
    const run1 = told();
    await flush();

    expect(exitCode).toBe(1);
    expect(events().sort()).toEqual(["run.failed", "run.started", "step.failed"]);
    expect(run1[0]).toMatchObject({ name: "deploy", command: expect.stringMatching(/^ops runs show 2/) });
    expect(new Set(told().map(({ id }) => id)).size).toBe(3);
    expect(site.told().map(({ title }) => title)).toEqual([
      expect.stringMatching(/^s2: step s2 of deploy on default failed: .* exit code 3/),
      // It has no step: it is told in the usual words, with the reason.
      expect.stringMatching(/^deploy on default failed/),
    ]);
    expect(site.told()[1]?.text).toContain("the words of the rule worst cannot be used");
  });

  it("is not failed and not held up by receivers that are down or hang; they are told later, once", async () => {
    const held: ServerResponse[] = [];
    site.configure({
      notifications: { web: { url: `${server.url}/in` }, mute: { url: `${server.url}/hang` } },
      notify: { all: { events: ["run.done"], to: ["web", "mute"] } },
    });
    answer = (response) => (response.req.url === "/hang" ? held.push(response) : down(response));
    runbook("true");

    const { exitCode, stderr } = await run();

    expect(exitCode).toBe(0);
    expect(stderr).toContain("answered 503");
    // The end of the run ended the attempt, not the ten seconds of its own.
    expect(stderr).toContain("! notification mute: no answer in time; will be tried again");
    expect(await waiting()).toMatchObject([{ to: "web", state: "waiting" }, { to: "mute" }]);

    answer = ok;
    server.requests.length = 0;
    // Two at once: one of them sends.
    const both = await Promise.all([flush("--now"), flush("--now")]);
    expect(both.map((each) => each.exitCode)).toEqual([0, 0]);
    expect(server.requests.map(({ url }) => url).sort()).toEqual(["/hang", "/in"]);
    expect(await waiting()).toEqual([]);
  });

  it("tells one receiver of its end although another one hangs since its beginning", async () => {
    site.configure({
      notifications: { web: { url: `${server.url}/in` }, mute: { command: ["sleep", "60"] } },
      notify: { all: { events: ["run.*"], to: ["mute", "web"] } },
    });
    runbook("true");

    const { exitCode, stderr } = await run();

    expect(exitCode).toBe(0);
    expect(events().sort()).toEqual(["run.done", "run.started"]);
    expect(stderr).toContain("! notification mute: sleep did not end in time; will be tried again");
  });

  it("that was killed after an event is told by the next process, also that it was cut off", async () => {
    site.configure({
      notifications: web(),
      notify: { all: { events: ["run.interrupted", "run.started", "step.failed"], to: ["web"] } },
      schedules: { tick: shell("true", { cron: "@yearly" }) },
    });
    runbook("kill -9 $PPID; sleep 1");
    const child = spawn(
      process.execPath,
      [
        "--import",
        join(projectRoot, "tests/support/kill-at-entry.mjs"),
        join(projectRoot, "bin/ops"),
        "run",
        "deploy.json",
        "--yes",
      ],
      {
        cwd: site.folder,
        env: childEnvironment({ KILL_AT_ENTRY: "1", KILL_WHEN: "after" }),
        stdio: "ignore",
      },
    );
    await once(child, "exit");
    expect(events()).toEqual([]);

    await site.runDue();
    await site.runDue();

    expect(events()).toEqual(["run.started", "run.interrupted"]);
    expect(told()[1]).toMatchObject({
      title: "deploy was cut off on default: its process is gone",
      command: expect.stringMatching(/^ops runs resume /),
    });
  });

  it("killed between the sending and the note of it: it is sent again at once, with the same id", async () => {
    site.configure({
      notifications: { hook: { kind: "webhook", url: `${server.url}/in`, secret: "env:KEY" } },
      notify: { all: { events: ["run.done"], to: ["hook"] } },
    });
    runbook("true");
    let running: RunningOps | undefined;
    answer = () => running?.child.kill("SIGKILL");
    running = site.start(["run", "deploy.json", "--yes"], { KEY: "a-key-that-nobody-knows" });
    expect((await running.result).signal).toBe("SIGKILL");

    answer = ok;
    const { exitCode, stdout } = await site.ops(["notify", "flush"], { KEY: "a-key-that-nobody-knows" });

    expect(exitCode).toBe(0);
    expect(stdout).toContain("✔ hook: deploy on default is done; 200 after");
    const [first, second, ...rest] = server.requests;
    expect(rest).toEqual([]);
    expect(second?.headers["webhook-id"]).toBe(first?.headers["webhook-id"]);
    expect(second?.body).toBe(first?.body);
  });

  it("does not begin where somebody has to hear of it and cannot be told; it can be taken up when they can", async () => {
    site.configure({
      notifications: web(),
      notify: { all: { events: ["run.started"], to: ["web"], required: true } },
    });
    runbook("echo ran >> out");
    answer = down;

    const refused = await run();

    expect(refused.exitCode).toBe(1);
    expect(refused.stderr + refused.stdout).toContain("Nothing was begun: web could not be told of it");
    expect(refused.stderr + refused.stdout).toContain("answered 503");
    expect(site.read("out")).toBe("");
    expect(await waiting()).toMatchObject([{ state: "given-up" }]);

    answer = ok;
    expect((await site.ops(["runs", "resume", "last", "--yes"])).exitCode).toBe(0);
    expect(site.read("out")).toBe("ran\n");
    expect((await run()).exitCode).toBe(0);
    expect(site.read("out")).toBe("ran\nran\n");
  });
});

describe("a pager", () => {
  it("hears of a trouble before it hears of its end, also where it was down in between", async () => {
    writeFileSync(site.path("key"), "0123456789abcdef0123456789abcdef");
    site.configure({
      notifications: {
        pager: { kind: "pagerduty", "routing-key": "file:key", url: `${server.url}/v2/enqueue` },
      },
      notify: { all: { events: ["run.*"], to: ["pager"] } },
    });
    answer = down;
    runbook("test -e mended");
    expect((await run()).exitCode).toBe(1);
    writeFileSync(site.path("mended"), "");
    expect((await run()).exitCode).toBe(0);
    answer = (response) => response.writeHead(202).end();
    server.requests.length = 0;

    await flush("--now");

    expect(told().map((each) => [each.event_action, each.dedup_key])).toEqual([
      ["trigger", "ops/run/default/deploy"],
      ["resolve", "ops/run/default/deploy"],
    ]);
  });
});

describe("schedules", () => {
  it("tell by rules what they tell by their own lists, each once", async () => {
    site.configure({
      schedules: { job: shell("exit 1", { notify: ["web"] }) },
      notifications: { ...web(), file: { kind: "file", file: "told" } },
      notify: { jobs: { events: ["schedule.*"], operations: ["shell.*"], to: ["web", "file"] } },
    });

    await site.runDue();

    expect(events()).toEqual(["failed"]);
    expect(site.told()).toMatchObject([
      { event: "failed", schedule: "job", title: "schedule job failed on default" },
    ]);
  });
});

describe("ops notify test", () => {
  it("shows what the receiver says, and never the path of its URL", async () => {
    site.configure({
      notifications: { team: { kind: "slack", url: `${server.url}/services/T0/secret-path` } },
    });

    const good = await site.ops(["notify", "test", "team"]);
    answer = (response) => response.writeHead(404).end("no_service");
    const bad = await site.ops(["notify", "test", "team"]);
    const list = await site.ops(["notify", "list"]);

    expect(good).toMatchObject({ exitCode: 0, stdout: expect.stringContaining("was told: 200 after") });
    expect(bad).toMatchObject({ exitCode: 1, stderr: expect.stringContaining("answered 404") });
    expect(bad.stderr).toContain("no_service");
    expect(JSON.stringify([good, bad, list])).not.toContain("secret-path");
    expect(list.stdout).toContain("nobody names it");
  });
});
