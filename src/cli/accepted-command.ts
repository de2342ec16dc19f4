import { resolve } from "node:path";
import { Chalk } from "chalk";
import type { Command } from "commander";
import { systemClock } from "../core/clock.ts";
import { UsageError } from "../core/errors.ts";
import { findRun } from "../run/run-id.ts";
import { SqliteJournal } from "../run/sqlite-journal.ts";
import { steps } from "../runbook/runbook.ts";
import { typedOperation } from "./operation-command.ts";
import type { CommonOptions } from "./options.ts";
import { buildProgram, everywhere } from "./program.ts";
import { mustBeConfirmed } from "./run-command.ts";
import { typedRunbook } from "./runbook-commands.ts";
import type { Terminal } from "./terminal.ts";

/** Where a command line is to begin, later and with nobody there. */
interface Place {
  /** The folder that it will begin in. */
  readonly directory: string;
  readonly stateDirectory: string;
}

/**
 * Reads a command line as it will be read, and begins nothing. Throws the usage error that it would end with: words and
 * options that are not there, values that do not fit, a run that is not known, a runbook with mistakes, --yes that is missing
 * where data would be destroyed.
 */
export async function requireAccepted({ directory, stateDirectory }: Place, words: readonly string[]) {
  const command = await named(words);
  const path =
    command.parent?.parent === null ? command.name() : `${command.parent?.name()} ${command.name()}`;
  const [first] = command.processedArgs as readonly unknown[];
  const { yes } = command.opts<CommonOptions>();
  if (path === "runs rollback" || path === "runs resume") return requireRun(stateDirectory, String(first));
  const typed = typedOperation(command);
  const uses =
    path === "run"
      ? steps((await typedRunbook(resolve(directory, String(first)), command.opts())).runbook)
      : typed === undefined
        ? []
        : [{ operation: typed.operation, with: typed.input }];
  if (yes === true || !uses.some(mustBeConfirmed)) return;
  throw new UsageError(
    "E_CONFIRM",
    `ops ${path} destroys or replaces data, and nobody will be there to ask`,
    {
      hint: "add --yes if that is meant",
    },
  );
}

const noColor = new Chalk({ level: 0 });
/** Nothing that is only read says anything. */
const silence: Terminal = {
  out: () => {},
  note: () => {},
  color: noColor,
  noteColor: noColor,
  interactive: false,
  holdsRun: false,
  screen: { color: noColor, columns: 80 },
  width: 80,
};

/** The command that would act. Throws `E_USAGE` where none would. */
async function named(words: readonly string[]): Promise<Command> {
  const asksForText = words.find((each) => /^(-h|--help|-V|--version|help)$/.test(each));
  const program = await buildProgram(words, silence, () => undefined);
  everywhere(program, (command) => command.configureOutput({ writeOut: () => {}, writeErr: () => {} }));
  const found: { command?: Command } = {};
  const begun = new Error("a command would begin");
  program.hook("preAction", (_program, command) => {
    found.command = command;
    throw begun;
  });
  try {
    if (asksForText === undefined) await program.parseAsync(["node", "ops", ...words]);
  } catch (error) {
    if (error !== begun && error instanceof UsageError) throw error;
  }
  if (found.command !== undefined) return found.command;
  throw new UsageError("E_USAGE", `ops ${words.join(" ")} does nothing but print how it is used`, {
    hint: "see what there is: ops --help",
  });
}

async function requireRun(stateDirectory: string, wanted: string): Promise<void> {
  if (!SqliteJournal.exists(stateDirectory))
    throw new UsageError("E_RUN_UNKNOWN", `There is no run "${wanted}": there are no runs yet`);
  const journal = SqliteJournal.openToRead(stateDirectory, systemClock);
  try {
    await findRun(journal, wanted);
  } finally {
    await journal.close();
  }
}
