import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";

export const launcher = fileURLToPath(new URL("../ops", import.meta.url));

/** Ctrl-C: what ran has ended at a safe point, and the demo ends too. */
export class Interrupted extends Error {}

/**
 * The command as a child of the demo. A Ctrl-C reaches both from the terminal; the child ends as it would for anybody,
 * and the demo only when it has.
 */
export class Ops {
  /** @param {string} config path of the sandbox's `.opsrc` */
  constructor(config) {
    this.config = config;
    this.interrupted = false;
    /** @type {import("node:child_process").ChildProcess | undefined} */
    this.child = undefined;
    process.on("SIGINT", () => this.interrupt());
    // Comes to this process alone.
    process.on("SIGTERM", () => {
      this.interrupt();
      this.child?.kill("SIGTERM");
    });
  }

  /** Runs the command in front of the reader. @param {string[]} args @returns {Promise<number>} its exit code */
  async show(args) {
    const { exitCode } = await this.run(args, "inherit");
    return exitCode;
  }

  /** What a command says with --json. @param {string[]} args @returns {Promise<any>} */
  async ask(args) {
    const { exitCode, stdout, stderr } = await this.run([...args, "--json"], "pipe");
    if (exitCode !== 0)
      throw new Error(`ops ${args.join(" ")} ended with exit code ${exitCode}\n${stderr.trim()}`);
    return JSON.parse(stdout);
  }

  interrupt() {
    this.interrupted = true;
  }

  /**
   * @param {string[]} args
   * @param {"inherit" | "pipe"} output
   * @returns {Promise<{ exitCode: number, stdout: string, stderr: string }>}
   */
  async run(args, output) {
    this.throwIfInterrupted();
    const child = spawn(process.execPath, [launcher, ...args], {
      env: this.environment(args),
      stdio: output === "inherit" ? "inherit" : ["ignore", "pipe", "pipe"],
    });
    this.child = child;
    let stdout = "";
    let stderr = "";
    child.stdout?.setEncoding("utf8").on("data", (text) => {
      stdout += text;
    });
    child.stderr?.setEncoding("utf8").on("data", (text) => {
      stderr += text;
    });
    const exitCode = await new Promise((resolve, reject) => {
      child.once("error", reject);
      child.once("close", (code) => resolve(code ?? 1));
    });
    this.child = undefined;
    this.throwIfInterrupted();
    return { exitCode, stdout, stderr };
  }

  /**
   * The reader's own OPS_ variables (a database, an environment) must not reach a demo that changes things. The
   * sandbox's commands need no configuration, and before its start there is none.
   * @param {string[]} args
   */
  environment(args) {
    const own = Object.entries(process.env).filter(([name]) => !name.startsWith("OPS_"));
    return { ...Object.fromEntries(own), ...(args[0] === "sandbox" ? {} : { OPS_CONFIG: this.config }) };
  }

  throwIfInterrupted() {
    if (this.interrupted) throw new Interrupted("interrupted");
  }
}
