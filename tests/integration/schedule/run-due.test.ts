import { mkdirSync, writeFileSync } from "node:fs";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { past, Site, shell, toFile, until } from "./site.ts";

const minute = 60_000;
const hour = 60 * minute;

let site: Site;
beforeEach(() => {
  site = new Site();
});
afterEach(() => {
  site.remove();
});

describe("what is due", () => {
  it("runs as a run of its own, journaled, once", async () => {
    site.configure({ schedules: { hello: shell("echo ran >> out") } });

    const first = await site.runDue();
    const second = await site.runDue("--quiet");

    expect(first).toMatchObject({ exitCode: 0, stdout: expect.stringMatching(/^✔ hello done in .* \(run /) });
    expect(site.read("out")).toBe("ran\n");
    const [run] = await site.runs();
    expect(run).toMatchObject({ name: "hello", status: "done" });
    expect(run?.actor).toMatch(/^schedule\/default\/hello@\S+ due \d{4}-.*:00\.000Z$/);
    // Unless the next minute has begun meanwhile.
    if ((await site.runs()).length === 1)
      expect(second).toMatchObject({ exitCode: 0, stdout: "", stderr: "" });
    expect((await site.list()).schedules[0]).toMatchObject({ last: { outcome: "done" }, overdue: false });
  });

  it("can be a runbook with inputs, and runs although what was left behind beside it cannot be read", async () => {
    mkdirSync(site.path(".ops/left-behind"), { recursive: true });
    writeFileSync(site.path(".ops/left-behind/damaged.json"), "\0\0\0");
    const runbook =
      "name: greet\ninputs:\n  who: { type: string }\nsteps:\n  - id: say\n    uses: shell.run\n    with: { command: [sh, -c, 'echo \"$1\" > out', sh, '${{ inputs.who }}'] }\n";
    mkdirSync(site.path("books"));
    writeFileSync(site.path("books/greet.yaml"), runbook);
    site.configure({
      schedules: { greet: { cron: "* * * * *", runbook: "books/greet.yaml", inputs: { who: "a b" } } },
    });

    expect(await site.runDue()).toMatchObject({ exitCode: 0 });
    expect(site.read("out")).toBe("a b\n");
  });

  it("is shown by --dry-run, which does nothing", async () => {
    site.configure({ schedules: { hello: shell("echo ran >> out") } });
    await site.runDue();
    site.timePasses(minute);

    expect(await site.runDue("--dry-run")).toMatchObject({
      stdout: expect.stringContaining("run hello, due "),
    });
    expect(site.read("out")).toBe("ran\n");
  });

  it("is run once where many times were missed, and dropped where it is too late or nobody wants it", async () => {
    // Half past the hour before last, so that none of its times comes while the test runs.
    const cron = `30 ${new Date(Date.now() - 2 * hour).getUTCHours()} * * *`;
    site.configure({
      schedules: {
        caught: shell("echo caught >> out", { cron }),
        strict: shell("echo strict >> out", { cron, "catch-up": false }),
        late: shell("echo late >> out", { cron, "catch-up-within": "20m" }),
      },
    });
    expect(await site.runDue()).toMatchObject({ exitCode: 0, stdout: "" });
    site.timePasses(4 * 24 * hour);

    const { stdout, exitCode } = await site.runDue("--json");

    expect(exitCode).toBe(0);
    expect(JSON.parse(stdout).ended).toMatchObject([
      { schedule: "caught", outcome: "done" },
      { schedule: "strict", outcome: "missed" },
      { schedule: "late", outcome: "missed" },
    ]);
    expect(site.read("out")).toBe("caught\n");
    expect(await site.runDue()).toMatchObject({ stdout: "" });
  });

  it("runs on after the clock was a year ahead for a while, and silence is noticed", async () => {
    const schedules = {
      hello: shell("echo ran >> out"),
      later: shell("true", { cron: past(1), "overdue-after": "2h" }),
    };
    site.configure({ schedules });
    await site.runDue();
    site.ledger((database) =>
      database.exec(
        `INSERT INTO start (environment, name, due_at, state, attempt, started_at, ended_at)
         SELECT environment, name, ${Date.now()}, 'done', 1, ${Date.now()}, ${Date.now()} FROM schedule WHERE name = 'later'`,
      ),
    );
    site.timePasses(-365 * 24 * hour);

    const { stdout } = await site.runDue("--json");

    expect(JSON.parse(stdout).ended).toMatchObject([{ schedule: "hello", outcome: "done" }]);
    expect(site.read("out")).toBe("ran\nran\n");
    site.ledger((database) =>
      database.exec(`UPDATE schedule SET registered_at = registered_at - ${3 * hour}`),
    );
    expect((await site.list()).schedules).toMatchObject([
      { name: "hello", overdue: false },
      { name: "later", overdue: true, last: null },
    ]);
  });

  it("owes nothing of before it was written, nor of before its times were changed", async () => {
    const passed = `30 ${new Date(Date.now() - 2 * hour).getUTCHours()} * * *`;
    site.configure({ schedules: { hello: shell("echo ran >> out", { cron: "0 0 1 1 *" }) } });
    await site.runDue();
    site.timePasses(24 * hour);
    site.configure({ schedules: { hello: shell("echo ran >> out", { cron: passed }) } });

    expect(await site.runDue()).toMatchObject({ exitCode: 0, stdout: "" });
    expect(site.read("out")).toBe("");
  });
});

describe("a run that fails", () => {
  it("ends run-due with 1, does not keep the others from running, and is told; so is the first good one after it", async () => {
    const config = (line: string) => ({
      schedules: {
        bad: shell(line, { notify: ["me"] }),
        good: shell("echo good >> out", { notify: ["me"] }),
      },
      notifications: { me: toFile },
    });
    site.configure(config("echo oh no >&2; exit 3"));

    expect(await site.runDue()).toMatchObject({
      exitCode: 1,
      stdout: expect.stringContaining("✖ bad failed"),
    });
    expect(site.read("out")).toBe("good\n");
    expect(site.told()).toMatchObject([
      { event: "failed", schedule: "bad", exitCode: 1, run: expect.any(String) },
    ]);

    site.timePasses(minute);
    site.configure(config("true"));
    expect(await site.runDue()).toMatchObject({ exitCode: 0 });
    site.timePasses(minute);
    expect(await site.runDue()).toMatchObject({ exitCode: 0 });
    expect(site.told().map(({ event }) => event)).toEqual(["failed", "recovered"]);
  });

  it("is one whose operation does not exist, with the place of the mistake", async () => {
    site.configure({ schedules: { typo: { cron: "* * * * *", uses: "backup.crate" } } });

    expect(await site.runDue()).toMatchObject({ exitCode: 1 });
    expect((await site.list()).schedules[0]?.last).toMatchObject({
      outcome: "failed",
      message: expect.stringContaining('did you mean "backup.create"?'),
    });
  });

  it("is one that is stopped at its timeout, at the next safe point", async () => {
    const step = (id: string, line: string) =>
      `  - { id: ${id}, uses: shell.run, with: { command: [sh, -c, "${line}"] } }\n`;
    writeFileSync(
      site.path("two.yaml"),
      `name: two\nsteps:\n${step("first", "sleep 10; echo first >> out")}${step("second", "echo second >> out")}`,
    );
    site.configure({ schedules: { slow: { cron: "* * * * *", runbook: "two.yaml", timeout: "8s" } } });

    expect(await site.runDue()).toMatchObject({ exitCode: 1 });
    expect(site.read("out")).toBe("first\n");
    expect((await site.list()).schedules[0]?.last).toMatchObject({
      message: "stopped after its timeout of 8.0s",
      hint: expect.stringMatching(/^ops runs resume /),
    });
  });
});

describe("a run that still goes on", () => {
  it("keeps the next one of its schedule from starting, not those of others", async () => {
    site.configure({
      schedules: {
        slow: shell("echo begun >> out; while [ ! -e go ]; do sleep 0.1; done"),
        other: shell("echo other >> others"),
      },
    });
    const running = site.start(["schedule", "run-due"]);
    await until(() => site.read("out") !== "" && site.read("others") !== "", "both began");
    await until(
      async () => (await site.list()).schedules[1]?.last?.outcome === "done",
      "the other one is done",
    );
    site.timePasses(minute);

    const meanwhile = await site.runDue();
    writeFileSync(site.path("go"), "");

    expect(meanwhile.stdout).toContain("! slow skipped: the run before it still goes on");
    expect(meanwhile.stdout).toContain("✔ other done");
    expect(await running.result).toMatchObject({ exitCode: 0 });
    expect(site.read("out")).toBe("begun\n");
  });

  it("is asked to stop with run-due, and says how to go on", async () => {
    site.configure({ schedules: { slow: shell("echo begun >> out; sleep 3") } });
    const running = site.start(["schedule", "run-due"]);
    await until(() => site.read("out") !== "", "it began");
    running.child.kill("SIGTERM");

    await running.result;
    const [run] = await site.runs();
    expect(["interrupted", "done"]).toContain(run?.status);
    expect((await site.list()).schedules[0]?.last?.outcome).not.toBe("running");
  });
});

describe("silence", () => {
  it("is told once, shown, a no-go for a gate, and told again when it ends", async () => {
    const config = (cron: string) => ({
      schedules: { nightly: shell("true", { cron, notify: ["me"], "overdue-after": "26h" }) },
      notifications: { me: toFile },
      gates: { deploy: { checks: [{ id: "backups", kind: "schedule-overdue" }] } },
    });
    site.configure(config("0 0 1 1 *"));
    expect((await site.ops(["gate", "check", "deploy"])).exitCode).toBe(3);
    await site.runDue();
    expect((await site.ops(["gate", "check", "deploy"])).exitCode).toBe(0);
    site.timePasses(25 * hour);
    await site.runDue();
    expect(site.told()).toEqual([]);
    site.timePasses(2 * hour);

    expect(await site.runDue()).toMatchObject({
      exitCode: 0,
      stdout: expect.stringContaining("nightly is silent"),
    });
    await site.runDue();

    expect(site.told()).toMatchObject([{ event: "silent", lastSuccessAt: null, overdueAfterMs: 26 * hour }]);
    expect((await site.ops(["schedule", "list"])).stdout).toContain("OVERDUE");
    expect(await site.ops(["gate", "check", "deploy"])).toMatchObject({ exitCode: 3 });

    site.configure(config("* * * * *"));
    expect(await site.runDue()).toMatchObject({ exitCode: 0 });
    expect(site.told().map(({ event }) => event)).toEqual(["silent", "recovered"]);
    expect((await site.ops(["gate", "check", "deploy"])).exitCode).toBe(0);
  });

  it("of run-due itself is seen in the list", async () => {
    site.configure({ schedules: { nightly: shell("true", { cron: "@yearly" }) } });
    expect((await site.ops(["schedule", "list"])).stdout).toContain("run-due was never called here");
    await site.runDue();
    expect((await site.list()).ticking).toBe(true);
    site.timePasses(hour);

    expect((await site.ops(["schedule", "list"])).stdout).toContain("cron or the timer does not call it");
  });
});

describe("bad input", () => {
  it.each([
    [["schedule", "run-due", "nightli"], /no schedule "nightli"[\s\S]*nightly/],
    [["schedule", "install"], /in cron or in systemd/],
    [["schedule", "install", "--cron", "--systemd"], /in cron or in systemd/],
    [["schedule", "install", "--cron", "--variables-file", "nowhere"], /no file .*nowhere/],
  ])("%j is refused", async (args, message) => {
    site.configure({ schedules: { nightly: shell("true") } });

    const { exitCode, stderr } = await site.ops(args);

    expect(exitCode).toBe(2);
    expect(stderr).toMatch(message);
  });

  it.each([
    [{ cron: "0 25 * * *", uses: "shell.run" }, /invalid value for hour: 25/],
    [{ cron: "0 3 * * *", "time-zone": "Europe/Berln", uses: "shell.run" }, /not a time zone/],
    [{ cron: "*/10 * * * *", jitter: "10m", uses: "shell.run" }, /does not fit between two runs/],
    [{ cron: "0 3 * * *" }, /needs either "uses"/],
    [{ cron: "0 3 * * *", uses: "shell.run", runbook: "x.yaml" }, /needs either "uses"/],
    [{ cron: "0 3 * * *", uses: "shell.run", notify: ["tem"] }, /no notification "tem"/],
    [{ cron: "0 3 * * *", uses: "shell.run", ping: "hc-ping.com/1" }, /must be an http: or https: URL/],
  ])("%j is refused with its place", async (schedule, message) => {
    site.configure({ schedules: { nightly: schedule }, notifications: { team: toFile } });

    const { exitCode, stderr } = await site.ops(["schedule", "list"]);

    expect(exitCode).toBe(2);
    expect(stderr).toMatch(message);
    expect(stderr).toMatch(/^\.opsrc:\d+:\d+: /);
  });
});
