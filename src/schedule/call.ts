import { createHash } from "node:crypto";
import { existsSync, statSync } from "node:fs";
import { delimiter, isAbsolute, resolve } from "node:path";
import { UsageError } from "../core/errors.ts";
import { launcher } from "../process/launcher.ts";
import type { OperationContext } from "../run/context.ts";

/** How cron or systemd, which know nothing of a shell's environment, calls `run-due` of one configuration. */
export interface Call {
  /** Absolute path of the configuration file. */
  readonly file: string;
  readonly environment: string;
  /** The program and what comes before the names of schedules, all paths absolute. */
  readonly command: readonly string[];
  readonly variables: Readonly<Record<string, string>>;
}

/** @param variablesFile file of `NAME=value` lines that the command gets as environment variables. Throws usage errors. */
export function callOf(context: OperationContext, variablesFile: string | undefined): Call {
  const { environment } = context;
  if (environment.file === undefined) {
    throw new UsageError("E_TARGET", "There is no configuration file whose schedules could be installed", {
      hint: 'write .opsrc with "schedules:" (see .opsrc.example)',
    });
  }
  const [node, file] = launcher();
  const options = variablesFile === undefined ? [] : [`--env-file=${existingFile(variablesFile)}`];
  const { OPS_STATE_DIR } = process.env;
  return {
    file: environment.file,
    environment: environment.name,
    command: [
      node,
      ...options,
      file,
      "schedule",
      "run-due",
      "--config",
      environment.file,
      "--env",
      environment.name,
    ],
    variables: {
      PATH: searchPath(),
      ...(OPS_STATE_DIR === undefined ? {} : { OPS_STATE_DIR: resolve(OPS_STATE_DIR) }),
    },
  };
}

/** Tells the installations of several configurations and environments apart: eight hexadecimal digits. */
export function callId({ file, environment }: Pick<Call, "file" | "environment">): string {
  return createHash("sha256").update(`${file}\n${environment}`).digest("hex").slice(0, 8);
}

function existingFile(path: string): string {
  const file = resolve(path);
  if (existsSync(file) && statSync(file).isFile()) return file;
  throw new UsageError("E_USAGE", `--variables-file: there is no file ${file}`, {
    hint: "make it with lines of NAME=value, readable only by you: chmod 600",
  });
}

/** Absolute folders that exist, each once. */
function searchPath(): string {
  const folders = (process.env.PATH ?? "").split(delimiter);
  return [...new Set(folders)].filter((each) => isAbsolute(each) && existsSync(each)).join(delimiter);
}
