import { CommanderError } from "commander";
import { ExitCode, errorRecord } from "../core/errors.ts";
import { buildProgram } from "./program.ts";
import { renderError } from "./render/error.ts";
import { processTerminal, type Terminal } from "./terminal.ts";

/** The whole command: from the arguments to the exit code. */
async function main(argv: readonly string[]): Promise<void> {
  const terminal = processTerminal();
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
  const usage = error instanceof CommanderError;
  if (usage && error.exitCode === 0) return ExitCode.done;
  const record = usage
    ? { code: "E_USAGE", message: plainMessage(error), exitCode: ExitCode.usage }
    : errorRecord(error);
  if (argv.includes("--json")) terminal.out(JSON.stringify({ error: record }, null, 2));
  if (!usage) terminal.note(renderError(error, terminal.noteColor, argv.includes("--debug")));
  return record.exitCode;
}

/** Without commander's own `error: ` and the suggestion on the second line. */
function plainMessage(error: CommanderError): string {
  return (error.message.split("\n")[0] ?? error.message).replace(/^error: /, "");
}

async function flushed(): Promise<void> {
  await Promise.all(
    [process.stdout, process.stderr].map((stream) => new Promise((resolve) => stream.write("", resolve))),
  );
}

await main(process.argv.slice(2));
