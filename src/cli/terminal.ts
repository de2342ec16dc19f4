import { Chalk, type ChalkInstance } from "chalk";
import { ExitCode } from "../core/errors.ts";
import { redact } from "../core/redaction.ts";
import type { Screen } from "../run/screen.ts";

/** Where output goes. Everything passes through `redact`. */
export interface Terminal {
  /** The result. */
  out(text: string): void;
  /** Progress, notes and errors. */
  note(text: string): void;
  /** Colours for standard output and for standard error: none in a pipe or with NO_COLOR. */
  readonly color: ChalkInstance;
  readonly noteColor: ChalkInstance;
  /** Whether a person watches: a live tree and questions are for them only. */
  readonly interactive: boolean;
  /**
   * True from the moment a run is held: where the reader of our output goes away (`| head`), the run goes on to its end in
   * silence. Otherwise there is nothing left to do.
   */
  holdsRun: boolean;
  /** What results are shown on: standard output. */
  readonly screen: Screen;
  /** Columns of standard error. */
  readonly width: number;
}

export function processTerminal(): Terminal {
  const plain = (process.env.NO_COLOR ?? "") !== "" || process.env.TERM === "dumb";
  const forced = (process.env.FORCE_COLOR ?? "0") !== "0";
  const chalk = (stream: NodeJS.WriteStream) =>
    new Chalk({ level: !plain && (stream.isTTY || forced) ? 1 : 0 });
  const ci = (process.env.CI ?? "") !== "" && process.env.CI !== "false";
  const color = chalk(process.stdout);
  const terminal: Terminal = {
    out: (text) => void process.stdout.write(line(text)),
    note: (text) => void process.stderr.write(line(text)),
    color,
    noteColor: chalk(process.stderr),
    interactive: process.stdin.isTTY === true && process.stderr.isTTY === true && !ci,
    holdsRun: false,
    screen: { color, columns: process.stdout.columns ?? 80 },
    width: process.stderr.columns ?? 100,
  };
  for (const stream of [process.stdout, process.stderr]) {
    stream.on("error", (error: NodeJS.ErrnoException) => {
      if (!terminal.holdsRun) process.exit(error.code === "EPIPE" ? ExitCode.done : ExitCode.failed);
    });
  }
  return terminal;
}

function line(text: string): string {
  const redacted = redact(text);
  return redacted.endsWith("\n") ? redacted : `${redacted}\n`;
}
