import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { childEnvironment } from "../../../src/process/run-program.ts";
import { projectRoot } from "../../support/ops.ts";
import { Site } from "../schedule/site.ts";

let site: Site;
beforeEach(() => {
  site = new Site();
  site.configure({
    notifications: { file: { kind: "file", file: "told" } },
    notify: { all: { events: ["*"], to: ["file"] } },
  });
  const step = { id: "s", uses: "shell.run", with: { command: ["true"] } };
  writeFileSync(site.path("deploy.json"), JSON.stringify({ name: "deploy", steps: [step] }));
});
afterEach(() => {
  site.remove();
});

const hook = join(import.meta.dirname, "../schedule/kill-at-commit.mjs");

/** A run, killed around a commit of the journal or of the outbox. False where it came to its end before. */
async function runKilled(commit: number, when: "before" | "after"): Promise<boolean> {
  const child = spawn(
    process.execPath,
    ["--import", hook, join(projectRoot, "bin/ops"), "run", "deploy.json", "--yes"],
    {
      cwd: site.folder,
      env: childEnvironment({ KILL_AT_COMMIT: String(commit), KILL_WHEN: when }),
      stdio: "ignore",
    },
  );
  const [, signal] = (await once(child, "exit")) as [number | null, NodeJS.Signals | null];
  return signal === "SIGKILL";
}

/** What the journal says last; undefined where no run has begun. */
function newestEntry(): unknown {
  if (!existsSync(site.path(".ops/journal.db"))) return undefined;
  const journal = new DatabaseSync(site.path(".ops/journal.db"), { readOnly: true, timeout: 10_000 });
  try {
    return journal.prepare("SELECT type FROM event ORDER BY position DESC LIMIT 1").get()?.type;
  } finally {
    journal.close();
  }
}

describe("a run killed with SIGKILL", () => {
  it.each(["before", "after"] as const)(
    "%s any of its commits: what its journal says is told by the next process, a repeat by the same id",
    async (when) => {
      for (let commit = 1; ; commit += 1) {
        rmSync(site.path(".ops"), { recursive: true, force: true });
        rmSync(site.path("told"), { force: true });

        const killed = await runKilled(commit, when);
        const { exitCode } = await site.ops(["notify", "flush"]);

        const point = `${when} commit ${commit}`;
        expect(exitCode, point).toBe(0);
        const newest = newestEntry();
        const begun = newest === undefined ? [] : ["run.started"];
        // The end of the journal, or that it has none.
        const ended = newest === undefined ? [] : [newest === "run.done" ? newest : "run.interrupted"];
        const told = site.told();
        const once = new Map(told.map(({ id, event }) => [id, event]));
        expect([...once.values()].sort(), point).toEqual([...begun, ...ended].sort());
        expect(told.length - once.size, point).toBeLessThanOrEqual(1);
        if (!killed) {
          expect(commit).toBeGreaterThan(10);
          return;
        }
      }
    },
    120_000,
  );
});
