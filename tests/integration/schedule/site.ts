import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { stringify } from "yaml";
import { type OpsResult, ops, type RunningOps, startOps } from "../../support/ops.ts";

/** A folder with a configuration of schedules, and the built command on it. */
export class Site {
  readonly folder = mkdtempSync(join(tmpdir(), "ops-schedule-"));

  configure(config: object): void {
    writeFileSync(this.path(".opsrc"), stringify(config));
  }

  path(name: string): string {
    return join(this.folder, name);
  }

  /** Empty where there is no such file. */
  read(name: string): string {
    try {
      return readFileSync(this.path(name), "utf8");
    } catch (error) {
      if (error instanceof Error && "code" in error && error.code === "ENOENT") return "";
      throw error;
    }
  }

  /** The JSON documents that a notification's command has appended to a file. */
  told(name = "told"): Record<string, unknown>[] {
    return this.read(name)
      .split("\n")
      .filter((line) => line !== "")
      .map((line) => JSON.parse(line) as Record<string, unknown>);
  }

  ops(args: readonly string[], env: Record<string, string> = {}): Promise<OpsResult> {
    return ops(args, { cwd: this.folder, env });
  }

  start(args: readonly string[], env: Record<string, string> = {}): RunningOps {
    return startOps(args, { cwd: this.folder, env });
  }

  runDue(...args: string[]): Promise<OpsResult> {
    return this.ops(["schedule", "run-due", ...args]);
  }

  async list(): Promise<ListedSchedules> {
    const { stdout } = await this.ops(["schedule", "list", "--json"]);
    return JSON.parse(stdout) as ListedSchedules;
  }

  async runs(): Promise<{ run: string; name: string; status: string; actor: string }[]> {
    return JSON.parse((await this.ops(["runs", "list", "--json"])).stdout).runs;
  }

  /** As if everything so far had happened so much earlier (milliseconds). */
  timePasses(ms: number): void {
    this.ledger((database) => {
      for (const [table, columns] of Object.entries(times)) {
        const set = columns.map((column) => `${column} = ${column} - ${ms}`).join(", ");
        database.exec(`UPDATE ${table} SET ${set}`);
      }
    });
  }

  /** What became of the newest start of the first schedule. */
  async outcome(): Promise<string | undefined> {
    return (await this.list()).schedules[0]?.last?.outcome;
  }

  /** Ticks until nothing of the first schedule is under way any more. */
  async tickToTheEnd(): Promise<void> {
    await until(async () => {
      await this.runDue();
      return (await this.outcome()) !== "running";
    }, "the run is booked");
  }

  ledger<T>(work: (database: DatabaseSync) => T): T {
    const database = new DatabaseSync(this.path(".ops/schedules.db"), { timeout: 10_000 });
    try {
      return work(database);
    } finally {
      database.close();
    }
  }

  remove(): void {
    rmSync(this.folder, { recursive: true, force: true });
  }
}

const times = {
  start: ["due_at", "started_at", "ended_at"],
  schedule: ["registered_at", "counts_from", "silent_since"],
  notice: ["created_at", "not_before"],
  tick: ["at"],
};

export interface ListedSchedules {
  readonly ticking: boolean;
  readonly schedules: readonly {
    readonly name: string;
    readonly next: readonly string[];
    readonly startsAt: string;
    readonly last: {
      outcome: string;
      run: string | null;
      message: string | null;
      hint: string | null;
    } | null;
    readonly lastSuccessAt: string | null;
    readonly overdue: boolean;
  }[];
  readonly undelivered: readonly { to: string; problem: string | null }[];
}

/** Runs a line of shell as a scheduled operation. */
export function shell(line: string, more: object = {}): object {
  return { cron: "* * * * *", uses: "shell.run", with: { command: ["sh", "-c", line] }, ...more };
}

/** Appends each notice to a file of the site. */
export const toFile = { command: ["sh", "-c", "cat >> told"] };

export async function until(condition: () => boolean | Promise<boolean>, what: string, ms = 30_000) {
  const end = Date.now() + ms;
  while (!(await condition())) {
    if (Date.now() > end) throw new Error(`not within ${ms} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** Half past an hour of today or yesterday, so that it does not come while a test runs. */
export function past(hours: number): string {
  return `30 ${new Date(Date.now() - hours * 3_600_000).getUTCHours()} * * *`;
}
