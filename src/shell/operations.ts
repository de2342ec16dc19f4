import { resolve } from "node:path";
import { z } from "zod";
import { formatDuration } from "../core/duration.ts";
import { OpsError } from "../core/errors.ts";
import { redact } from "../core/redaction.ts";
import { duration } from "../core/schema.ts";
import { timeoutSignal } from "../core/timer.ts";
import { plannedCommand, showCommand } from "../process/command-line.ts";
import { requireProgram } from "../process/find-program.ts";
import { liveness, type ProcessIdentity, processIdentity } from "../process/live-process.ts";
import { namedEnvironment } from "../process/named-environment.ts";
import { killGroup, type ProgramResult, runProgram } from "../process/run-program.ts";
import type { OperationContext } from "../run/context.ts";
import { defineOperation, type Operation, type Report } from "../run/operation.ts";

const input = z.strictObject({
  command: z
    .array(z.string())
    .min(1, "needs a program")
    .describe("The program and its arguments, as a list; no shell reads them"),
  cwd: z.string().optional().describe("Folder it runs in, relative to the configuration file"),
  timeout: duration("How long it may run").prefault("10m"),
  variables: z
    .array(z.string().regex(/^[A-Za-z_][A-Za-z0-9_]*$/, "must be the name of an environment variable"))
    .default([])
    .describe("Names of environment variables that the program gets, beside PATH, HOME, LANG and TZ"),
  undo: z
    .array(z.string())
    .min(1, "needs a program")
    .optional()
    .describe("The program that takes it back, as a list; it may be called more than once"),
  "expect-exit": z.number().int().min(0).max(255).default(0).describe("Exit code that counts as success"),
  lines: z
    .number()
    .int()
    .min(1)
    .max(1000)
    .default(50)
    .describe("How many lines of its output are kept, from the end"),
});

type Input = z.output<typeof input>;

const output = z.object({
  exitCode: z.number(),
  stdout: z.string().describe("The last lines of its standard output"),
  durationMs: z.number(),
});

type Output = z.output<typeof output>;

/** An attempt is durable before the program starts, its result before the step ends. */
type Checkpoint =
  | { state: "started"; process?: ProcessIdentity }
  | { state: "failed" }
  | { state: "done"; output: Output };

/**
 * At least once: where `ops` itself is killed while the program runs, nobody knows how far the program came, and a
 * resumed run starts it again (and says so). The program must bear that.
 */
const run = defineOperation({
  name: "shell.run",
  summary: "Run a program of your own; started again if ops was killed while it ran",
  example: "shell run --timeout 5m -- npm run smoke-test",
  effect: "change",
  input,
  positional: ["command"],
  output,
  observe: async (context, { command, undo, cwd, variables }) => {
    const directory = resolve(context.environment.directory, cwd ?? ".");
    namedEnvironment(variables);
    const program = await requireProgram(command[0] ?? "", directory);
    if (undo !== undefined) await requireProgram(undo[0] ?? "", directory);
    return { program };
  },
  plan: (_before, { command }) => [
    {
      target: `program:${command[0] ?? ""}`,
      action: "run",
      summary: `run ${plannedCommand(command)}`,
    },
  ],
  apply: async (context, given, _before, report) => {
    const last = report.last as Checkpoint | undefined;
    if (last?.state === "done") return last.output;
    const shown = showCommand(given.command);
    if (last?.state === "started") {
      report.log(`an earlier ${shown} was cut off; starting it again`);
      await endOrphan(context, last.process);
    }
    await report.checkpoint({ state: "started" });
    report.progress({ message: shown });
    const started = context.clock.elapsed();
    const result = await execute(context, given.command, given, report, async (pid) => {
      await report.checkpoint({ state: "started", process: { ...processIdentity(pid) } });
    });
    const done: Output = {
      exitCode: result.exitCode,
      stdout: tail(result.stdout, given.lines),
      durationMs: Math.round(context.clock.elapsed() - started),
    };
    if (result.exitCode !== given["expect-exit"]) {
      await report.checkpoint({ state: "failed" });
      throw failed("E_SHELL_FAILED", given.command, result, given);
    }
    await report.checkpoint({ state: "done", output: done });
    return done;
  },
  undo: async (context, given, _before, report) => {
    if (given.undo === undefined) {
      return { undone: false, note: `${showCommand(given.command)} has no "undo": see what it did` };
    }
    const result = await execute(context, given.undo, given, report);
    if (result.exitCode !== 0) {
      throw failed("E_SHELL_UNDO_FAILED", given.undo, result, { ...given, "expect-exit": 0 });
    }
    return { undone: true, note: `ran ${showCommand(given.undo)}` };
  },
  render: ({ stdout, exitCode, durationMs }) =>
    [...(stdout === "" ? [] : [stdout]), `exit code ${exitCode} after ${formatDuration(durationMs)}`].join(
      "\n",
    ),
});

/** Milliseconds that a program left over by a killed `ops` has to end. */
const orphanGrace = 5000;

/** Two of the same program at once are worse than one ended early. */
async function endOrphan(context: OperationContext, orphan: ProcessIdentity | undefined): Promise<void> {
  if (orphan === undefined || liveness(orphan) !== "alive") return;
  killGroup(orphan.pid, "SIGTERM");
  const end = context.clock.elapsed() + orphanGrace;
  while (liveness(orphan) === "alive") {
    if (context.clock.elapsed() > end) killGroup(orphan.pid, "SIGKILL");
    await context.clock.sleep(50, context.signal);
  }
}

async function execute(
  context: OperationContext,
  command: readonly string[],
  { cwd, variables, timeout: limit }: Input,
  report: Report,
  onStart?: (pid: number) => Promise<void>,
): Promise<ProgramResult> {
  const [program = "", ...args] = command;
  const timeout = timeoutSignal(limit);
  try {
    return await runProgram(program, args, {
      cwd: resolve(context.environment.directory, cwd ?? "."),
      env: namedEnvironment(variables),
      signal: AbortSignal.any([context.signal, timeout]),
      onLine: (line) => report.log(line),
      ...(onStart === undefined ? {} : { onStart }),
    });
  } catch (error) {
    if (!timeout.aborted || context.signal.aborted) throw error;
    throw new OpsError(
      "E_SHELL_TIMEOUT",
      `${showCommand(command)} did not end within ${formatDuration(limit)} and was stopped`,
      { hint: "give it longer with: --timeout, or timeout: in its step" },
    );
  }
}

function tail(text: string, lines: number): string {
  return redact(text.split(/\r?\n/).slice(-lines).join("\n"));
}

function failed(
  code: "E_SHELL_FAILED" | "E_SHELL_UNDO_FAILED",
  command: readonly string[],
  result: ProgramResult,
  { lines, "expect-exit": expected }: Input,
): OpsError {
  const stderr = tail(result.stderr, lines);
  const stdout = tail(result.stdout, lines);
  const said = tail(stderr === "" ? stdout : stderr, 5);
  return new OpsError(
    code,
    `${showCommand(command)} ended with exit code ${result.exitCode}, expected ${expected}`,
    {
      ...(said === "" ? {} : { cause: said }),
      details: { exitCode: result.exitCode, stdout, stderr },
    },
  );
}

export const operations: readonly Operation[] = [run];
