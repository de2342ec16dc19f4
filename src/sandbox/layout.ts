import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

/** Where everything of one sandbox is: all of it below one folder. */
export interface SandboxLayout {
  readonly directory: string;
  /** Says that the folder is a sandbox, and which ports it uses. */
  readonly description: string;
  /** The processes that were started. */
  readonly processes: string;
  readonly config: string;
  readonly cluster: string;
  readonly balancerConfig: string;
  readonly balancerSocket: string;
  readonly backups: string;
  readonly identity: string;
  /** The change calendar that its gates read. */
  readonly freezes: string;
  /** The journal of runs. */
  readonly state: string;
  log(process: string): string;
}

export function sandboxLayout(dir: string): SandboxLayout {
  const directory = resolve(dir);
  return {
    directory,
    description: join(directory, "sandbox.json"),
    processes: join(directory, "processes.json"),
    config: join(directory, ".opsrc"),
    cluster: join(directory, "postgres"),
    balancerConfig: join(directory, "haproxy.cfg"),
    balancerSocket: join(directory, "haproxy.sock"),
    backups: join(directory, "backups"),
    identity: join(directory, "identity.txt"),
    freezes: join(directory, "freezes.yaml"),
    state: join(directory, "state"),
    log: (process) => join(directory, `${process}.log`),
  };
}

/** The root of the installed package: this file is in src/sandbox or, built, in dist/chunks. */
export const packageRoot = fileURLToPath(new URL("../..", import.meta.url));

/** The sample application, built or not: a program of its own. */
export const sampleApp = fileURLToPath(
  new URL(`../sandbox/sample-app.${import.meta.url.endsWith(".ts") ? "ts" : "js"}`, import.meta.url),
);

/** The database's name, and the untouched copy of it that `reset` copies back. */
export const shopDatabase = "shop";
export const pristineDatabase = "shop_pristine";
