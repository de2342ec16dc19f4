import { type ChildProcess, spawn } from "node:child_process";
import { stat } from "node:fs/promises";
import { join } from "node:path";
import { OpsError } from "../core/errors.ts";
import { redact } from "../core/redaction.ts";
import { OutputTail } from "../process/output-tail.ts";
import { childEnvironment, runProgram } from "../process/run-program.ts";
import { largeBuffers } from "./large-buffers.ts";
import { isExecutable, programFolders } from "./program-folders.ts";
import { ProgramOutput } from "./program-output.ts";

/** PostgreSQL's client programs. */
export type ProgramName =
  | "pg_dump"
  | "pg_dumpall"
  | "pg_restore"
  | "psql"
  | "pg_basebackup"
  | "pg_receivewal"
  | "pg_verifybackup"
  | "pg_controldata"
  | "pg_waldump"
  | "pg_amcheck";

export interface Program {
  readonly path: string;
  /** `15.18` */
  readonly version: string;
  readonly major: number;
  /** What starts it with larger buffers for its standard input and output, before the path. Default: nothing. */
  readonly launcher?: readonly string[];
}

/** Every version of the program on this machine, oldest first. */
export async function findPrograms(name: ProgramName): Promise<Program[]> {
  const found: Program[] = [];
  const launcher = await largeBuffers();
  for (const folder of await programFolders()) {
    const path = join(folder, name);
    if (!(await isExecutable(path))) continue;
    const program = await knownProgram(path);
    if (program !== undefined) found.push({ ...program, launcher });
  }
  return found.sort((a, b) => a.major - b.major);
}

/** By path and by what tells one file from the one that an upgrade puts in its place. */
const known = new Map<string, Promise<Program | undefined>>();

/**
 * Undefined where it is no program of PostgreSQL. Asks each file once: Debian's wrappers take a tenth of a second, and a
 * backup asks for each of its objects.
 */
export async function knownProgram(path: string): Promise<Program | undefined> {
  const { ino, mtimeMs, size } = await stat(path);
  const key = JSON.stringify([path, ino, mtimeMs, size]);
  const asked = known.get(key) ?? askedVersion(path);
  known.set(key, asked);
  // What could not be started now may be startable later.
  if ((await asked.catch(() => undefined)) === undefined) known.delete(key);
  return asked;
}

async function askedVersion(path: string): Promise<Program | undefined> {
  const { exitCode, stdout } = await runProgram(path, ["--version"]);
  const version = /\(PostgreSQL\) ((\d+)\S*)/.exec(stdout);
  if (exitCode !== 0 || version?.[1] === undefined) return undefined;
  return { path, version: version[1], major: Number(version[2]) };
}

/**
 * The program in the oldest version that is not older than `atLeast` (a major version): pg_dump refuses a server, and
 * pg_restore an archive, that is newer than itself. Throws `E_PROGRAM_MISSING` and `E_PROGRAM_VERSION`.
 */
export async function findProgram(name: ProgramName, atLeast: number): Promise<Program> {
  const all = await findPrograms(name);
  const fitting = all.find((each) => each.major >= atLeast);
  if (fitting !== undefined) return fitting;
  const newest = all.at(-1);
  const hint =
    process.platform === "darwin"
      ? `run: brew install postgresql@${atLeast}`
      : `run: apt-get install postgresql-client-${atLeast} (or the like of your system)`;
  if (newest === undefined) {
    throw new OpsError("E_PROGRAM_MISSING", `The program ${name} is not installed`, {
      hint,
      retryable: false,
    });
  }
  throw new OpsError(
    "E_PROGRAM_VERSION",
    `${name} must be version ${atLeast} or later; the newest here is ${newest.version}`,
    { hint, retryable: false },
  );
}

/** A program that runs, with its standard input and output as streams. */
export class RunningProgram {
  private readonly name: string;
  private readonly child: ChildProcess;
  private readonly written: ProgramOutput;
  private readonly errors = new OutputTail(8000);
  private readonly ended: Promise<number | NodeJS.Signals>;
  private readonly inputClosed: Promise<unknown>;

  /**
   * Arguments are a list: no shell sees them. What is secret goes into `environment`.
   * Once `signal` aborts, the program gets SIGTERM, and SIGKILL five seconds later.
   */
  constructor(
    program: Program,
    args: readonly string[],
    environment: Readonly<Record<string, string>>,
    signal: AbortSignal,
  ) {
    this.name = program.path.split("/").at(-1) ?? program.path;
    const [file = program.path, ...rest] = [...(program.launcher ?? []), program.path, ...args];
    const child = spawn(file, rest, {
      env: childEnvironment(environment),
      stdio: ["pipe", "pipe", "pipe"],
      // Out of reach of the terminal's Ctrl-C: ops itself decides when it ends.
      detached: true,
    });
    this.child = child;
    this.written = new ProgramOutput(child.stdout);
    child.stderr.on("data", (chunk: Buffer) => this.errors.write(chunk));
    // A program that ends before it has read everything: its exit code says whether that was right.
    this.child.stdin?.on("error", () => undefined);
    this.inputClosed = new Promise((resolve) => this.child.stdin?.once("close", resolve));
    this.ended = new Promise((resolve, reject) => {
      this.child.once("error", reject);
      this.child.once("close", (code, killedBy) => resolve(code ?? killedBy ?? "SIGKILL"));
    });
    this.ended.catch(() => undefined);
    const stop = () => this.terminate();
    signal.addEventListener("abort", stop, { once: true });
    this.child.once("close", () => signal.removeEventListener("abort", stop));
    if (signal.aborted) stop();
  }

  /** What the program writes. Ends only after the program ended well; throws `E_PROGRAM_FAILED` otherwise. */
  async *output(): AsyncGenerator<Buffer> {
    yield* this.written.read();
    await this.success();
  }

  /** As `output`, but each chunk is there only until the next one is asked for. For what is large. */
  async *lentOutput(): AsyncGenerator<Buffer> {
    yield* this.written.lend();
    await this.success();
  }

  /**
   * Feeds standard input to its end. Reads the source to its end even where the program wants no more of it, but not
   * beyond the program's failure: that is `output`'s and `success`'s to throw.
   */
  async feed(source: AsyncIterable<Uint8Array>, signal: AbortSignal): Promise<void> {
    const { stdin } = this.child;
    for await (const chunk of source) {
      signal.throwIfAborted();
      if ((this.child.exitCode ?? 0) !== 0 || this.child.signalCode !== null) return;
      if (stdin === null || stdin.destroyed || !stdin.writable) continue;
      if (!stdin.write(chunk)) {
        await Promise.race([new Promise((resolve) => stdin.once("drain", resolve)), this.inputClosed]);
      }
    }
    stdin?.end();
  }

  /** Feeds standard input for as long as the program reads it; what comes after is not asked for. */
  async feedWhileWanted(source: AsyncIterable<Uint8Array>): Promise<void> {
    const { stdin } = this.child;
    for await (const chunk of source) {
      if (stdin === null || stdin.destroyed || !stdin.writable) return;
      if (!stdin.write(chunk)) {
        await Promise.race([new Promise((resolve) => stdin.once("drain", resolve)), this.inputClosed]);
      }
    }
    stdin?.end();
  }

  /** Resolves once the program ended with exit code 0. Throws `E_PROGRAM_FAILED` with what it last complained of. */
  async success(): Promise<void> {
    const result = await this.ended;
    if (result === 0) return;
    const complaint = redact(this.errors.finish()).trim();
    const ending = typeof result === "number" ? `ended with exit code ${result}` : `was ended by ${result}`;
    throw new OpsError("E_PROGRAM_FAILED", `${this.name} ${ending}`, {
      cause: complaint === "" ? undefined : new Error(complaint),
      details: { program: this.name, result, stderr: complaint },
    });
  }

  /** Ends the program, where it still runs, and waits until it is gone. Never throws. */
  async stop(): Promise<void> {
    this.terminate();
    // Nobody reads or writes any more; a full pipe must not keep the program.
    this.child.stdout?.destroy();
    this.child.stdin?.destroy();
    await this.ended.catch(() => undefined);
  }

  private terminate(): void {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return;
    this.child.kill("SIGTERM");
    const insist = setTimeout(() => this.child.kill("SIGKILL"), 5000);
    this.child.once("close", () => clearTimeout(insist));
  }
}
