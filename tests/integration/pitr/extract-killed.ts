import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFile, rm } from "node:fs/promises";
import { text } from "node:stream/consumers";
import { expect } from "vitest";
import type { Json } from "../../../src/core/errors.ts";
import { RecordingReport } from "../../support/context.ts";
import { operation, PitrSetting } from "./setting.ts";

const script = new URL("extract-attempt.ts", import.meta.url).pathname;
const preload = new URL("../../support/kill-at-statement.mjs", import.meta.url).pathname;

/** A table with 300 of 400 rows deleted since the moment, and attempts to take them back that are killed. */
export class KilledExtracts {
  readonly setting: PitrSetting;
  private readonly moment: string;
  private readonly checkpoints: string;

  private constructor(setting: PitrSetting, moment: string) {
    this.setting = setting;
    this.moment = moment;
    this.checkpoints = setting.wal.path("checkpoints.json");
  }

  static async start(): Promise<KilledExtracts> {
    const setting = await PitrSetting.start();
    await setting.wal.query(`CREATE TABLE orders (id int PRIMARY KEY, item text);
      INSERT INTO orders SELECT n, md5(n::text) FROM generate_series(1, 400) n;
      CREATE TABLE truth AS TABLE orders`);
    await setting.base();
    const [row] = await setting.wal.query<{ now: Date }>("SELECT clock_timestamp() AS now");
    await new Promise((done) => setTimeout(done, 5));
    await setting.wal.query("DELETE FROM orders WHERE id > 100");
    return new KilledExtracts(setting, new Date((row?.now.getTime() ?? 0) + 1).toISOString());
  }

  /** How many statements an attempt sends; the last one is its COMMIT. */
  async statements(input: object): Promise<number> {
    const before = await this.observed(input);
    const said = await this.attempt(input, before, 0, "before");
    await this.undo(input, before);
    return Number(/(\d+) statements/.exec(said)?.[1]);
  }

  /** One that is killed there, one that finishes, and the undo; `check` looks after the second. */
  async killedAt(input: object, statement: number, when: string, check: () => Promise<void>): Promise<void> {
    const before = await this.observed(input);
    await this.attempt(input, before, statement, when);
    await this.attempt(input, before, 0, "before");
    await check();
    expect(await this.undo(input, before), `${when} ${statement}`).toMatchObject({ undone: true });
  }

  private asked(input: object) {
    return {
      table: "orders",
      "to-time": this.moment,
      "restore-command": this.setting.stockFetch,
      ...input,
    };
  }

  private async observed(input: object): Promise<Json> {
    const chosen = operation("pitr.extract");
    await rm(this.checkpoints, { force: true });
    const found = await chosen.observe(this.setting.context(), chosen.input.parse(this.asked(input)));
    return JSON.parse(JSON.stringify(found)) as Json;
  }

  private async attempt(input: object, before: Json, statement: number, when: string): Promise<string> {
    const child = spawn(process.execPath, ["--import", preload, script], {
      stdio: ["pipe", "ignore", "pipe"],
      env: { ...process.env, KILL_AT_STATEMENT: String(statement), KILL_WHEN: when },
    });
    const exited = once(child, "exit");
    const { settings, wal } = this.setting;
    const { folder, config } = wal;
    child.stdin.end(
      JSON.stringify({
        settings,
        folder,
        config,
        input: this.asked(input),
        before,
        checkpoints: this.checkpoints,
      }),
    );
    const said = await text(child.stderr);
    const [exitCode, signal] = await exited;
    if (statement === 0) expect(exitCode, said).toBe(0);
    else expect(signal, `${when} ${statement}: ${said}`).toBe("SIGKILL");
    return said;
  }

  private async undo(input: object, before: Json): Promise<unknown> {
    const chosen = operation("pitr.extract");
    const last = JSON.parse(await readFile(this.checkpoints, "utf8")) as Json;
    return chosen.undo?.(
      this.setting.context(),
      chosen.input.parse(this.asked(input)),
      before,
      new RecordingReport(last),
    );
  }
}
