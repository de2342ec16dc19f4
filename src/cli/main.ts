import { CommanderError } from "commander";
import { ExitCode, errorRecord } from "../core/errors.ts";
import { buildProgram } from "./program.ts";
import { renderError } from "./render/error.ts";
import { isRestoreCommand, restoreExitCode } from "./restore-exit-code.ts";
import { processTerminal, type Terminal } from "./terminal.ts";

/** The whole command: from the arguments to the exit code. */
async function main(argv: readonly string[]): Promise<void> {
  const terminal = processTerminal();
  let exitCode: number = ExitCode.done;
  let code: string | undefined;
  try {
    const program = await buildProgram(argv, terminal, (code) => {
      exitCode = code;
    });
    await program.parseAsync(["node", "ops", ...argv]);
  } catch (error) {
    ({ exitCode, code } = report(error, argv, terminal));
  }
  if (isRestoreCommand(argv)) exitCode = restoreExitCode(exitCode, code);
  await flushed();
  // Whatever is still open (a pool, a keep-alive socket) must not hold the shell.
  process.exit(exitCode);
}

type Reported = { readonly exitCode: ExitCode; readonly code?: string };

function report(error: unknown, argv: readonly string[], terminal: Terminal): Reported {
  // Help that was asked for is no failure; a command without its word is told what the words are.
  const help = error instanceof CommanderError;
  if (help && error.exitCode === 0) return { exitCode: ExitCode.done };
  const record = help
    ? { code: "E_USAGE", message: "a command is missing", exitCode: ExitCode.usage }
    : errorRecord(error);
  if (argv.includes("--json")) terminal.out(JSON.stringify({ error: record }, null, 2));
  if (!help) terminal.note(renderError(error, terminal.noteColor, argv.includes("--debug")));
  return { exitCode: record.exitCode, code: record.code };
}

async function flushed(): Promise<void> {
  await Promise.all(
    [process.stdout, process.stderr].map((stream) => new Promise((resolve) => stream.write("", resolve))),
  );
}

await main(process.argv.slice(2));
