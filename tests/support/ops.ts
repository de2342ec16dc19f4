import { type ChildProcess, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { childEnvironment } from "../../src/process/run-program.ts";

export interface OpsOptions {
  /** `--config`, by the environment variable. */
  readonly config?: string | undefined;
  /** Added to a small base; nothing else of the test's environment reaches the command. */
  readonly env?: Readonly<Record<string, string>>;
  /** Default: the root of the project. */
  readonly cwd?: string;
  /** Written to its standard input, which is then closed. Default: nothing. */
  readonly input?: string;
  /** Milliseconds until it is killed with SIGKILL. Default: one minute. */
  readonly timeout?: number;
}

export interface OpsResult {
  /** Null where a signal ended it. */
  readonly exitCode: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunningOps {
  readonly child: ChildProcess;
  /** Resolves when it has ended and its output is complete. */
  readonly result: Promise<OpsResult>;
}

export const projectRoot = fileURLToPath(new URL("../..", import.meta.url));
const launcher = fileURLToPath(new URL("../../bin/ops", import.meta.url));
const built = fileURLToPath(new URL("../../dist/cli/main.js", import.meta.url));

/** Runs the built command as a user would, to its end. */
export function ops(args: readonly string[], options: OpsOptions = {}): Promise<OpsResult> {
  return startOps(args, options).result;
}

/** Starts the built command, for tests that send it signals or watch its output. */
export function startOps(args: readonly string[], options: OpsOptions = {}): RunningOps {
  if (!existsSync(built)) throw new Error("ops is not built: npm run build");
  const { config, env = {}, cwd = projectRoot, input = "", timeout = 60_000 } = options;
  const child = spawn(process.execPath, [launcher, ...args], {
    cwd,
    env: childEnvironment({ ...(config === undefined ? {} : { OPS_CONFIG: config }), ...env }),
    stdio: "pipe",
    timeout,
    killSignal: "SIGKILL",
  });
  const result = new Promise<OpsResult>((resolve, reject) => {
    let stdout = "";
    let stderr = "";
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      stdout += text;
    });
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      stderr += text;
    });
    child.once("error", reject);
    child.once("close", (exitCode, signal) => resolve({ exitCode, signal, stdout, stderr }));
  });
  // It may end without reading its input.
  child.stdin.on("error", () => undefined);
  child.stdin.end(input);
  return { child, result };
}
