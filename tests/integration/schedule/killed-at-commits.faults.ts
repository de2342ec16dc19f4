import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { childEnvironment } from "../../../src/process/run-program.ts";
import { projectRoot } from "../../support/ops.ts";
import { past, Site, shell, toFile } from "./site.ts";

let site: Site;
beforeEach(() => {
  site = new Site();
});
afterEach(() => {
  site.remove();
});

const hook = join(import.meta.dirname, "kill-at-commit.mjs");

/** `run-due`, killed around a commit. False where it came to its end before. */
async function runDueKilled(commit: number, when: "before" | "after"): Promise<boolean> {
  const child = spawn(
    process.execPath,
    ["--import", hook, join(projectRoot, "bin/ops"), "schedule", "run-due"],
    {
      cwd: site.folder,
      env: childEnvironment({ KILL_AT_COMMIT: String(commit), KILL_WHEN: when }),
      stdio: "ignore",
    },
  );
  const [, signal] = (await once(child, "exit")) as [number | null, NodeJS.Signals | null];
  return signal === "SIGKILL";
}

describe("run-due killed with SIGKILL", () => {
  it.each(["before", "after"] as const)(
    "%s any of its commits: the job runs exactly once, its success is booked and told",
    async (when) => {
      for (let commit = 1; ; commit += 1) {
        site.remove();
        site = new Site();
        // The first success after a failure is told; a minute that is long past keeps later ones out.
        const config = (hoursAgo: number, line: string) => ({
          schedules: { job: shell(line, { cron: past(hoursAgo), notify: ["me"], "overdue-after": "30d" }) },
          notifications: { me: toFile },
        });
        site.configure(config(2, "exit 1"));
        await site.runDue();
        site.timePasses(86_400_000);
        await site.runDue();
        expect(site.told().map(({ event }) => event)).toEqual(["failed"]);
        site.configure(config(3, "echo ran >> out; sleep 0.2"));
        await site.runDue();
        site.timePasses(86_400_000);

        const killed = await runDueKilled(commit, when);
        // As if the minute and a half had passed in which nobody else sends a notice again.
        site.ledger((database) => database.exec("UPDATE notice SET not_before = 0"));
        await site.tickToTheEnd();

        const point = `${when} commit ${commit}`;
        expect(site.read("out"), point).toBe("ran\n");
        expect(await site.outcome(), point).toBe("done");
        expect(
          (await site.runs()).filter(({ status }) => status === "done"),
          point,
        ).toHaveLength(1);
        const told = site.told().map(({ event }) => event);
        expect(told.slice(0, 2), point).toEqual(["failed", "recovered"]);
        // Between sending and booking that it was sent nobody can know.
        expect(told.length, point).toBeLessThanOrEqual(3);
        if (!killed) {
          expect(commit).toBeGreaterThan(5);
          return;
        }
      }
    },
    300_000,
  );
});
