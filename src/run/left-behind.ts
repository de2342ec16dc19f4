import { existsSync } from "node:fs";
import { mkdir, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { causeText } from "../core/errors.ts";
import { redact } from "../core/redaction.ts";
import { withFileLock } from "../process/file-lock.ts";
import { startGated } from "../process/gated-program.ts";
import { launcher } from "../process/launcher.ts";
import { liveness } from "../process/live-process.ts";
import { readJson } from "../process/read-json.ts";
import { replaceFile } from "../process/replace-file.ts";
import { killGroup } from "../process/run-program.ts";
import type { OperationContext } from "./context.ts";
import { findJournaledRun, journaledRun } from "./journaled-run.ts";

/** A run that goes on behind the command that asked for it, and is taken up again when its process is gone. */
const leftBehind = z.object({
  /** Of its files. */
  key: z.string(),
  environment: z.string(),
  /** By whom the journal says that it was begun, and by which it is found again. */
  actor: z.string(),
  /** The runbook that it runs, as text; null: the run is there already. */
  runbook: z.string().nullable(),
  run: z.string().nullable(),
  process: z.object({ host: z.string(), pid: z.number(), pidStartedAt: z.string().nullable() }).nullable(),
  /** Times that it was begun or taken up. */
  attempts: z.int(),
  /** It is not taken up again before that. */
  notBefore: z.iso.datetime(),
});
export type LeftBehind = z.output<typeof leftBehind>;

/** What became of one that was looked after. */
export interface TakenUp {
  readonly key: string;
  readonly run: string | null;
  readonly what: "begun" | "resumed" | "failed";
  readonly problem: string | null;
}

/** Milliseconds that another process may look after them. */
const patience = 10_000;
/** Between two attempts, growing with each, and at most. Milliseconds. */
const [firstPause, longestPause] = [1000, 600_000];
/** What does not come to a run of the journal after so many attempts never will. */
const mostAttempts = 10;
/** A tick of the schedules is missing when none came for so long, in milliseconds. */
const tickPatience = 5 * 60_000;

/**
 * The runs that are left behind, as files beside the journal. One is begun once: its process is durable before it does
 * anything, and the journal knows its run by the actor. Whoever looks after them has them alone.
 */
export class LeftBehindRuns {
  private readonly folder: string;
  private readonly context: OperationContext;

  constructor(context: OperationContext) {
    this.context = context;
    this.folder = join(context.stateDirectory, "left-behind");
  }

  /** Writes it down; nothing is begun yet. Nothing happens where it is there. */
  async add(fields: Pick<LeftBehind, "key" | "actor" | "runbook" | "run" | "process">): Promise<void> {
    await mkdir(this.folder, { recursive: true, mode: 0o700 });
    if ((await this.read(fields.key)) !== undefined) return;
    const { environment, clock } = this.context;
    const notBefore = clock.now().toISOString();
    await this.write({ ...fields, environment: environment.name, attempts: 0, notBefore });
  }

  /** Undefined also where the file holds none: a disk that was full or damaged has no say in the others. */
  read(key: string): Promise<LeftBehind | undefined> {
    return readJson(this.file(key, "json"), leftBehind);
  }

  async forget(key: string): Promise<void> {
    for (const kind of ["json", "yaml", "log", "end"] as const)
      await rm(this.file(key, kind), { force: true });
  }

  /** Ends one that has not come to a run yet, and forgets it. */
  async abandon(key: string): Promise<void> {
    const identity = (await this.read(key))?.process ?? null;
    if (identity !== null && liveness(identity) === "alive") killGroup(identity.pid, "SIGKILL");
    await this.forget(key);
  }

  /**
   * Begins what has not begun and resumes what was cut off or interrupted; forgets what has come to an end. Never
   * throws for one of them.
   */
  async lookAfter(only?: string): Promise<TakenUp[]> {
    if (!existsSync(this.folder)) return [];
    const lock = join(this.folder, "lock");
    return withFileLock(lock, { patience, signal: this.context.signal }, async () => {
      const keys = only === undefined ? await this.keys() : [only];
      const all: TakenUp[] = [];
      for (const key of keys) {
        const record = await this.read(key);
        if (record === undefined || record.environment !== this.context.environment.name) continue;
        const taken = await this.attend(record).catch((error: unknown): TakenUp => {
          const message = error instanceof Error ? error.message : String(error);
          const cause = error instanceof Error ? causeText(error.cause) : undefined;
          const problem = redact(cause === undefined ? message : `${message}: ${cause}`);
          return { key, run: record.run, what: "failed", problem };
        });
        if (taken !== undefined) all.push(taken);
      }
      return all;
    });
  }

  /** Notes that a tick of the schedules has looked after them. */
  async tick(): Promise<void> {
    await mkdir(this.folder, { recursive: true, mode: 0o700 });
    await writeFile(join(this.folder, "tick"), "");
  }

  /** Whether anything would take one up after a reboot, as far as can be told. */
  async isTicking(): Promise<boolean> {
    const file = join(this.folder, "tick");
    if (!existsSync(file)) return false;
    const { mtimeMs } = await stat(file);
    return this.context.clock.now().getTime() - mtimeMs < tickPatience;
  }

  private async attend(record: LeftBehind): Promise<TakenUp | undefined> {
    const { stateDirectory, clock } = this.context;
    const run =
      record.run === null
        ? await findJournaledRun(stateDirectory, clock, record.actor)
        : await journaledRun(stateDirectory, clock, record.run);
    if (run !== undefined && run.id !== record.run) await this.write({ ...record, run: run.id });
    const isOver = run !== undefined && !["running", "rolling-back", "interrupted"].includes(run.status);
    if (isOver) {
      await this.forget(record.key);
      return undefined;
    }
    const lives = record.process !== null && liveness(record.process) !== "gone";
    if (run?.held === true || lives) return undefined;
    if (run === undefined && record.runbook === null) return undefined;
    if (run === undefined && record.attempts >= mostAttempts) {
      const said = await this.log(record.key);
      await this.forget(record.key);
      const problem = `it did not begin in ${mostAttempts} attempts${said === "" ? "" : `: ${said}`}`;
      return { key: record.key, run: null, what: "failed", problem };
    }
    const now = clock.now();
    if (now.getTime() < Date.parse(record.notBefore)) return undefined;
    await this.begin({ ...record, run: run?.id ?? null });
    return {
      key: record.key,
      run: run?.id ?? null,
      what: run === undefined ? "begun" : "resumed",
      problem: null,
    };
  }

  private async begin(record: LeftBehind): Promise<void> {
    const { environment, stateDirectory, clock } = this.context;
    const { key, run, runbook, actor } = record;
    const file = this.file(key, "yaml");
    if (run === null && runbook !== null) await replaceFile(file, runbook, 0o600);
    const words = run === null ? ["run", file] : ["runs", "resume", run];
    const attempts = record.attempts + 1;
    // The first time that it is cut off, the next tick goes on with it.
    const pause = attempts === 1 ? 0 : Math.min(longestPause, firstPause * 2 ** Math.min(attempts, 20));
    await startGated({
      words: [...launcher(), ...words, "--yes"],
      cwd: environment.directory,
      env: {
        ...process.env,
        ...(environment.file === undefined ? {} : { OPS_CONFIG: environment.file }),
        OPS_ENV: environment.name,
        OPS_STATE_DIR: stateDirectory,
        OPS_ACTOR: actor,
      },
      log: this.file(key, "log"),
      end: this.file(key, "end"),
      onStart: (identity) =>
        this.write({
          ...record,
          process: { ...identity },
          attempts,
          notBefore: new Date(clock.now().getTime() + pause).toISOString(),
        }),
    });
  }

  /** The last of what it said, where it has not come to a run. */
  async log(key: string): Promise<string> {
    const file = this.file(key, "log");
    return existsSync(file) ? redact((await readFile(file, "utf8")).slice(-2000)).trim() : "";
  }

  private async keys(): Promise<string[]> {
    return (await readdir(this.folder)).flatMap((file) => /^(.+)\.json$/.exec(file)?.[1] ?? []);
  }

  private async write(record: LeftBehind): Promise<void> {
    await replaceFile(this.file(record.key, "json"), `${JSON.stringify(record)}\n`, 0o600);
  }

  private file(key: string, kind: "json" | "yaml" | "log" | "end"): string {
    return join(this.folder, `${key}.${kind}`);
  }
}
