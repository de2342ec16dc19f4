import type { PgBackRestTarget } from "../config/environment.ts";
import { rememberSecret, secretName } from "../core/redaction.ts";
import { type ServerUser, serverUser } from "../postgres/unprivileged.ts";
import { requireProgram } from "../process/find-program.ts";
import { runProgram } from "../process/run-program.ts";
import { failureOf } from "./failure.ts";

export interface PgBackRestOptions {
  readonly signal?: AbortSignal | undefined;
  /** Who runs it. Default: the server's user, to whom the repository belongs. */
  readonly user?: ServerUser;
  /** Called with every line of its log: `P01 DETAIL: …`. */
  readonly onLine?: (line: string) => void;
  /** How much it logs. Default: info. */
  readonly detail?: "info" | "detail";
}

/**
 * The installed pgBackRest, for one stanza. Its secrets are in its own configuration, or in variables `PGBACKREST_…`,
 * which it gets from our environment; none is ever in its arguments.
 */
export class PgBackRest {
  readonly target: PgBackRestTarget;
  private readonly path: string;

  private constructor(target: PgBackRestTarget, path: string) {
    this.target = target;
    this.path = path;
  }

  /** Throws `E_PROGRAM_MISSING`. */
  static async find(target: PgBackRestTarget): Promise<PgBackRest> {
    return new PgBackRest(target, await requireProgram(target.command, "/"));
  }

  /** Runs a command to its end. Throws what `failureOf` makes of its exit code; `what` names the work: `info`. */
  async run(
    command: string,
    options: readonly string[],
    { signal, user, onLine, detail = "info" }: PgBackRestOptions = {},
  ): Promise<void> {
    const log = [`--log-level-console=${detail}`, "--log-level-stderr=off", "--no-log-timestamp"];
    const complaints: string[] = [];
    const args = [...this.arguments(), ...log, ...options, command];
    const { exitCode, stderr } = await this.start(args, { signal, user }, (line) => {
      if (isComplaint(line) || complaints.length > 0) complaints.push(line);
      onLine?.(line);
    });
    if (exitCode !== 0) throw failureOf(this.target, command, exitCode, complaints.join("\n") || stderr);
  }

  /** What a command prints: JSON, or a file. `path` is what it is about, for those that take one. Throws as `run` does. */
  async read(
    command: string,
    options: readonly string[],
    signal?: AbortSignal,
    path?: string,
  ): Promise<string> {
    const log = ["--log-level-console=off", "--log-level-stderr=error", "--no-log-timestamp"];
    const args = [...this.arguments(), ...log, ...options, command, ...(path === undefined ? [] : [path])];
    const { exitCode, stdout, stderr } = await this.start(args, { signal });
    if (exitCode !== 0) throw failureOf(this.target, command, exitCode, stderr);
    return stdout;
  }

  /** Which stanza of which configuration: what every command begins with. */
  private arguments(): string[] {
    const { config, stanza } = this.target;
    return [...(config === undefined ? [] : [`--config=${config}`]), `--stanza=${stanza}`];
  }

  /** As words, for the server's own commands: `archive-push %p`. */
  commandLine(options: readonly string[], words: readonly string[]): string[] {
    return [this.path, ...this.arguments(), ...options, ...words];
  }

  private async start(
    args: readonly string[],
    { signal, user }: { readonly signal?: AbortSignal | undefined; readonly user?: ServerUser | undefined },
    onLine?: (line: string) => void,
  ) {
    const { prefix } = user ?? (await serverUser(this.target.config ?? "/"));
    const [file = "", ...rest] = [...prefix, this.path, ...args];
    const options = { cwd: "/", env: ownVariables(), signal };
    return runProgram(file, rest, onLine === undefined ? options : { ...options, onLine });
  }
}

function isComplaint(line: string): boolean {
  return /^(?:P\d+ +)?ERROR: /.test(line);
}

/** Its variables, of which those that are named for a secret are never shown. */
function ownVariables(): Record<string, string> {
  const found: Record<string, string> = {};
  for (const [name, value] of Object.entries(process.env)) {
    if (!name.startsWith("PGBACKREST_") || value === undefined) continue;
    if (secretName.test(name)) rememberSecret(value);
    found[name] = value;
  }
  return found;
}
