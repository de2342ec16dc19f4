import { writeFileSync } from "node:fs";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { RunningOps } from "../../support/ops.ts";
import { past, Site, shell, toFile, until } from "./site.ts";

let site: Site;
beforeEach(() => {
  site = new Site();
});
afterEach(() => {
  site.remove();
});

/** First run-due, which would otherwise book the end of the other: power that fails ends both. */
async function killBoth(running: RunningOps): Promise<void> {
  const row = site.ledger((database) => database.prepare("SELECT child FROM start").get()) as {
    child: string;
  };
  running.child.kill("SIGKILL");
  await running.result;
  process.kill((JSON.parse(row.child) as { pid: number }).pid, "SIGKILL");
}

describe("run-due killed with SIGKILL", () => {
  it("while the job runs: the job goes on, nothing is started beside it, and its end is booked", async () => {
    site.configure({
      schedules: {
        job: shell("echo begun >> out; while [ ! -e go ]; do sleep 0.1; done; echo ended >> out"),
      },
    });
    const running = site.start(["schedule", "run-due"]);
    await until(() => site.read("out") !== "", "the job began");
    running.child.kill("SIGKILL");
    await running.result;

    await site.runDue();
    expect(await site.outcome()).toBe("running");
    writeFileSync(site.path("go"), "");
    await until(async () => (await site.runs())[0]?.status === "done", "the job's run is done");
    await site.tickToTheEnd();

    expect(await site.outcome()).toBe("done");
    expect(site.read("out").startsWith("begun\nended\n")).toBe(true);
  });

  it("together with its run: the run is resumed and is one run", async () => {
    const cron = past(2);
    const line = "echo begun >> out; [ -e go ] || exec sleep 60";
    site.configure({ schedules: { job: shell(line, { cron }) } });
    await site.runDue();
    site.timePasses(86_400_000);
    const running = site.start(["schedule", "run-due"]);
    await until(() => site.read("out") !== "", "the job began");
    await killBoth(running);
    writeFileSync(site.path("go"), "");

    const { stdout, exitCode } = await site.runDue("--json");

    expect({ exitCode, ended: JSON.parse(stdout).ended }).toMatchObject({
      exitCode: 0,
      ended: [{ outcome: "done", attempt: 2 }],
    });
    expect(await site.runs()).toMatchObject([{ status: "done" }]);
  });

  it("together with its run, where nothing is to be caught up: it is failed, with the way to go on", async () => {
    const line = "echo begun >> out; exec sleep 60";
    site.configure({
      schedules: { job: shell(line, { "catch-up": false, notify: ["me"] }) },
      notifications: { me: toFile },
    });
    const running = site.start(["schedule", "run-due"]);
    await until(() => site.read("out") !== "", "the job began");
    await killBoth(running);
    // The newest minute is another one's by now; what was cut off is booked all the same.
    site.configure({
      schedules: { job: shell("true", { cron: "@yearly", "catch-up": false, notify: ["me"] }) },
      notifications: { me: toFile },
    });

    expect(await site.runDue()).toMatchObject({ exitCode: 1 });
    expect(site.told()).toMatchObject([
      { event: "failed", hint: expect.stringMatching(/^ops runs resume /) },
    ]);
  });
});
