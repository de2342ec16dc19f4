import { Command, type CommanderError, Help } from "commander";
import { type CapabilityEntry, capabilities } from "../capabilities.ts";
import { type ExitCode, UsageError } from "../core/errors.ts";
import type { Operation } from "../run/operation.ts";
import type { Terminal } from "./terminal.ts";

/** A command that is no operation: it works on runbooks, runs or the configuration. */
interface BuiltIn {
  readonly name: string;
  readonly summary: string;
  readonly load: () => Promise<
    (command: Command, terminal: Terminal, ended: (code: ExitCode) => void) => void
  >;
}

const builtIns: readonly BuiltIn[] = [
  {
    name: "run",
    summary: "Run a runbook",
    load: async () => (await import("./runbook-commands.ts")).runCommand,
  },
  {
    name: "plan",
    summary: "Show what a runbook would change",
    load: async () => (await import("./runbook-commands.ts")).planCommand,
  },
  {
    name: "runs",
    summary: "List, show, watch, resume and roll back runs",
    load: async () => (await import("./runs-commands.ts")).runsCommand,
  },
  {
    name: "runbook",
    summary: "Validate runbooks; print their JSON Schema",
    load: async () => (await import("./runbook-commands.ts")).runbookCommand,
  },
  {
    name: "config",
    summary: "Show the effective configuration",
    load: async () => (await import("./config-command.ts")).configCommand,
  },
  {
    name: "doctor",
    summary: "Check what ops needs on this machine",
    load: async () => (await import("./doctor-command.ts")).doctorCommand,
  },
];

/** The command line. Only the part that the arguments name is loaded: help and errors must be there at once. */
export async function buildProgram(
  argv: readonly string[],
  terminal: Terminal,
  ended: (code: ExitCode) => void,
): Promise<Command> {
  const program = new Command("ops")
    .description(
      "Runs dangerous production work safely: migrations, backups, canaries, flags and gates,\nfrom runbooks that are planned, journaled, resumed after a crash and rolled back.",
    )
    .usage("<command> [options]")
    .option("-V, --version", "print the version")
    .configureHelp({ helpWidth: Math.min(100, terminal.width), formatHelp: groupedHelp })
    .addHelpText(
      "after",
      "\nStart here:\n  $ ops sandbox up          something to try it on\n  $ ops plan FILE           what a runbook would change\n  $ ops run FILE            run it\n\nEvery command has --help, --json and, where it changes something, --dry-run.",
    );
  const wanted = argv.find((each) => !each.startsWith("-"));
  for (const entry of builtIns) {
    const command = program.command(entry.name).description(entry.summary);
    if (entry.name === wanted) (await entry.load())(command, terminal, ended);
  }
  for (const entry of capabilities) {
    const command = program.command(entry.name).description(entry.summary);
    if (entry.name !== wanted) continue;
    const verb = argv[argv.indexOf(wanted) + 1];
    await addOperations(command, entry, verb, terminal, ended);
    if (entry.usual !== undefined)
      command.addHelpText(
        "after",
        `\nWithout a command it is ${entry.usual}: ops ${entry.name} ${entry.usual} --help`,
      );
  }
  everywhere(program, (command) =>
    command
      .showSuggestionAfterError(true)
      .configureOutput({ outputError: () => {} })
      .exitOverride((error) => {
        throw usageError(command, error);
      }),
  );
  return program;
}

async function addOperations(
  command: Command,
  entry: CapabilityEntry,
  verb: string | undefined,
  terminal: Terminal,
  ended: (code: ExitCode) => void,
): Promise<void> {
  const [operations, { operationCommand }] = await Promise.all([
    wantedOperations(entry, verb),
    import("./operation-command.ts"),
  ]);
  for (const operation of operations) {
    const [, ...path] = operation.name.split(".");
    const group = path.length > 1 ? path[0] : undefined;
    const parent = group === undefined ? command : groupCommand(command, group, entry.groups?.[group]);
    const isDefault = path.length === 1 && path[0] === entry.usual;
    parent.addCommand(operationCommand(operation, terminal, ended), { isDefault });
  }
}

/** `keys` of `ops backup keys …`: made when the first of its operations comes. */
function groupCommand(command: Command, group: string, summary: string | undefined): Command {
  return (
    command.commands.find((each) => each.name() === group) ??
    command.command(group).description(summary ?? `Operations of ${group}`)
  );
}

/** The one that is typed, where the capability can load it alone; else all, for help and suggestions. */
async function wantedOperations(
  entry: CapabilityEntry,
  verb: string | undefined,
): Promise<readonly Operation[]> {
  const alone = verb === undefined ? undefined : await entry.operation?.(verb);
  return alone === undefined ? (await entry.operations()).operations : [alone];
}

/** What commander found wrong, as every other error is told; help and version, which are none, as they are. */
function usageError(command: Command, error: CommanderError): Error {
  if (/^commander\.(help|helpDisplayed|version)$/.test(error.code)) return error;
  const [message = "", suggestion] = error.message.split("\n");
  const path = pathOf(command);
  return new UsageError("E_USAGE", `${path}: ${message.replace(/^error: /, "")}`, {
    hint: suggestion === undefined ? `see: ${path} --help` : suggestion.replace(/^\(Did (.*)\)$/, "did $1"),
  });
}

function pathOf(command: Command): string {
  return command.parent === null ? command.name() : `${pathOf(command.parent)} ${command.name()}`;
}

/** A command and all below it. */
export function everywhere(command: Command, change: (command: Command) => void): void {
  change(command);
  for (const each of command.commands) everywhere(each, change);
}

/** Commander's own help, with a list of commands that tells runbooks from operations. */
function groupedHelp(command: Command, helper: Help): string {
  const text = Help.prototype.formatHelp.call(helper, command, helper);
  if (command.parent !== null) return text;
  return text
    .replace("Commands:\n", "Runbooks and runs:\n")
    .replace(new RegExp(`\\n(  ${capabilities[0]?.name ?? ""} )`), "\n\nOperations:\n$1");
}
