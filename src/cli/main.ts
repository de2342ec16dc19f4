import { CommanderError } from "commander";
import { ExitCode, OpsError } from "../core/errors.ts";
import { buildProgram } from "./program.ts";
import { renderError } from "./render/error.ts";
import { processTerminal, type Terminal } from "./terminal.ts";

/** The whole command: from the arguments to the exit code. */
async function main(argv: readonly string[]): Promise<void> {
  const terminal = processTerminal();
  // A reader that went away (`ops runs list | head`) is not an error.
  process.stdout.on("error", (error: NodeJS.ErrnoException) =>
    process.exit(error.code === "EPIPE" ? ExitCode.done : ExitCode.failed),
  );
  let exitCode: ExitCode = ExitCode.done;
  try {
    const program = await buildProgram(argv, terminal, (code) => {
      exitCode = code;
    });
    await program.parseAsync(["node", "ops", ...argv]);
  } catch (error) {
    exitCode = report(error, argv, terminal);
  }
  await flushed();
  // Whatever is still open (a pool, a keep-alive socket) must not hold the shell.
  process.exit(exitCode);
}

function report(error: unknown, argv: readonly string[], terminal: Terminal): ExitCode {
  // Commander has written its own message; help and version are no failures.
  if (error instanceof CommanderError) return error.exitCode === 0 ? ExitCode.done : ExitCode.usage;
  if (argv.includes("--json")) {
    terminal.out(JSON.stringify({ error: errorJson(error) }, null, 2));
  }
  terminal.note(renderError(error, terminal.noteColor, argv.includes("--debug")));
  return error instanceof OpsError ? error.exitCode : ExitCode.failed;
}

function errorJson(error: unknown): object {
  if (!(error instanceof OpsError))
    return { code: "E_UNEXPECTED", message: error instanceof Error ? error.message : String(error) };
  const { code, message, hint, details, exitCode } = error;
  return { code, message, hint, details, exitCode };
}

async function flushed(): Promise<void> {
  await Promise.all(
    [process.stdout, process.stderr].map((stream) => new Promise((resolve) => stream.write("", resolve))),
  );
}

await main(process.argv.slice(2));
