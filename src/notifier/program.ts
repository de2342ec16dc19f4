import { causeText, OpsError } from "../core/errors.ts";
import { redact } from "../core/redaction.ts";
import { timeoutSignal } from "../core/timer.ts";
import { runProgram } from "../process/run-program.ts";
import { shortened } from "./message.ts";
import type { Sent } from "./sent.ts";

const timeout = 60_000;
const wordsLength = 300;

export interface NoticeProgram {
  readonly command: readonly string[];
  /** Names of environment variables that it gets. */
  readonly variables: readonly string[];
  readonly directory: string;
}

/** Runs a program with the notice on its standard input. */
export async function tellProgram(
  what: string,
  { command, variables, directory }: NoticeProgram,
  input: string,
  signal?: AbortSignal,
): Promise<Sent> {
  const [program = "", ...args] = command;
  const over = timeoutSignal(timeout);
  try {
    const { exitCode, stderr } = await runProgram(program, args, {
      cwd: directory,
      env: variablesNamed(variables),
      input: `${input}\n`,
      signal: signal === undefined ? over : AbortSignal.any([signal, over]),
    });
    if (exitCode === 0) return { sent: true, answer: `${program} ended with exit code 0` };
    const last = stderr.split("\n").at(-1) ?? "";
    const said = last === "" ? "" : `: ${shortened(redact(last), wordsLength)}`;
    return { sent: false, problem: `${what}: ${program} ended with exit code ${exitCode}${said}` };
  } catch (error) {
    if (signal?.aborted === true) return { sent: false, problem: `${what}: ${program} did not end in time` };
    if (over.aborted) return { sent: false, problem: `${what}: ${program} took longer than a minute` };
    if (!(error instanceof OpsError)) throw error;
    const cause = causeText(error.cause);
    return { sent: false, problem: `${what}: ${error.message}${cause === undefined ? "" : `: ${cause}`}` };
  }
}

function variablesNamed(names: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    names.flatMap((name) => {
      const value = process.env[name];
      return value === undefined ? [] : [[name, value] as const];
    }),
  );
}
