import { Command } from "commander";
import { ExitCode, type Json, UsageError } from "../core/errors.ts";
import type { OperationContext } from "../run/context.ts";
import type { Operation } from "../run/operation.ts";
import { describeIssues } from "../runbook/issues.ts";
import { singleOperation } from "../runbook/runbook.ts";
import { type FieldOption, fieldOptions, fieldValue } from "./field-option.ts";
import { type CommonOptions, commonOptions, restorePointOption } from "./options.ts";
import { renderError } from "./render/error.ts";
import { renderChange } from "./render/plan.ts";
import { renderValue } from "./render/value.ts";
import { confirm, looseContext, openSession, type Session } from "./session.ts";
import type { Terminal } from "./terminal.ts";
import { answerUnchanged } from "./unchanged.ts";

/** The command `ops <capability> <verb>` of an operation, or `ops <capability> <group> <verb>`; without its parents. */
export function operationCommand(
  operation: Operation,
  terminal: Terminal,
  ended: (code: ExitCode) => void,
): Command {
  const verb = operation.name.slice(operation.name.lastIndexOf(".") + 1);
  const command = new Command(verb).description(operation.summary);
  const fields = fieldOptions(operation.input);
  const positional = (operation.positional ?? [])
    .map((key) => fields.find((each) => each.key === key))
    .filter((each) => each !== undefined);
  for (const field of positional) command.argument(argument(field), field.description);
  for (const field of fields) {
    if (!positional.includes(field)) command.option(flags(field), description(field));
  }
  commonOptions(command, { changes: operation.effect !== "read" });
  if (isGuarded(operation)) restorePointOption(command);
  command.addHelpText("after", `\nExample:\n  $ ops ${operation.example}`);
  const typedInput = () => {
    const given: readonly unknown[] = command.processedArgs;
    const typed = Object.fromEntries(positional.map((field, index) => [field.key, given[index]]));
    return readTyped(operation, fields, { ...command.opts(), ...typed }, positional);
  };
  made.set(command, { operation, typedInput });
  command.action(async () => {
    const options = command.opts<CommonOptions>();
    const input = typedInput();
    const session = await openSession(terminal, options);
    ended(await perform(session, operation, input));
  });
  return command;
}

const made = new WeakMap<
  Command,
  { readonly operation: Operation; readonly typedInput: () => Record<string, Json> }
>();

/** What a command that was parsed would do; undefined where it is none of an operation. Throws `E_USAGE`. */
export function typedOperation(
  command: Command,
): { readonly operation: Operation; readonly input: Record<string, Json> } | undefined {
  const found = made.get(command);
  return found === undefined ? undefined : { operation: found.operation, input: found.typedInput() };
}

async function perform(
  session: Session,
  operation: Operation,
  input: Record<string, Json>,
): Promise<ExitCode> {
  const { terminal, options } = session;
  if (operation.effect !== "read" && operation.journaled !== false) {
    return performJournaled(session, operation, input);
  }
  if (operation.effect === "read" && operation.journaled === true) {
    const { performJournaledRead } = await import("./journaled-read.ts");
    return performJournaledRead(session, operation, input);
  }
  const context: OperationContext = {
    ...looseContext(session),
    ...(operation.runsUntilStopped === true && { signal: session.interruption.abort }),
  };
  const parsed = operation.input.parse(input);
  const before = await operation.observe(context, parsed);
  const changes = operation.plan(before, parsed);
  if (options.dryRun === true) {
    const lines = changes.map((change) => renderChange(change, terminal.color)).join("\n");
    terminal.out(options.json === true ? JSON.stringify({ changes }, null, 2) : lines || "nothing to change");
    return ExitCode.done;
  }
  if (operation.effect === "destroy") await confirm(session, `${operation.summary}?`, true);
  const output = await operation.apply(context, parsed, before, {
    progress: ({ message }) => {
      if (terminal.interactive) terminal.note(terminal.noteColor.dim(message));
    },
    log: (line) => terminal.note(line),
    checkpoint: async () => undefined,
    last: undefined,
  });
  const text =
    options.json === true
      ? JSON.stringify(output, null, 2)
      : (operation.render?.(output, terminal.screen, parsed) ?? renderValue(output));
  // Nothing to say is not an empty line: cron sends a mail for one.
  if (text !== "") terminal.out(text);
  const failure = operation.failure?.(output);
  if (failure === undefined) return ExitCode.done;
  terminal.note(renderError(failure, terminal.noteColor, options.debug === true));
  return failure.exitCode;
}

/** As a runbook of one step; without a run where it is known that nothing would change. */
async function performJournaled(
  session: Session,
  operation: Operation,
  input: Record<string, Json>,
): Promise<ExitCode> {
  const runbook = singleOperation(operation, input);
  const choices = { inputs: {}, unselected: new Set<string>(), observed: new Map<string, Json>() };
  const { unchanged } = operation;
  // A dry run shows the plan, events are those of a run, and expressions are the engine's to evaluate.
  const short = session.options.dryRun !== true && session.options.events !== true && !hasExpressions(input);
  if (unchanged !== undefined && short) {
    const found = await answerUnchanged(session, { ...operation, unchanged }, input);
    if (found === undefined) return ExitCode.done;
    for (const { id } of runbook.stages.flat()) choices.observed.set(id, found.seen);
  }
  const { planAndRun } = await import("./run-command.ts");
  return planAndRun(session, runbook, choices);
}

function isGuarded({ effect, restorePoint, journaled }: Operation): boolean {
  return restorePoint === true || (effect === "destroy" && journaled !== false);
}

function hasExpressions(input: Record<string, Json>): boolean {
  return JSON.stringify(input).includes("${{");
}

/** What was typed, checked by the operation's own input. Throws `E_USAGE` naming the flags. */
function readTyped(
  operation: Operation,
  fields: readonly FieldOption[],
  typed: Record<string, unknown>,
  positional: readonly FieldOption[],
): Record<string, Json> {
  const input: Record<string, Json> = {};
  for (const field of fields) {
    const value = fieldValue(field, typed[positional.includes(field) ? field.key : camelCase(field.key)]);
    if (value !== undefined) input[field.key] = value;
  }
  const result = operation.input.safeParse(input, { reportInput: true });
  if (result.success) return input;
  const command = operation.name.replaceAll(".", " ");
  const problems = result.error.issues.map((issue) => {
    const key = String(issue.path[0] ?? "");
    const shown = positional.some((each) => each.key === key) ? `<${key}>` : `--${key}`;
    if (issue.code === "invalid_type" && issue.input === undefined) return `${shown} is missing`;
    const hint =
      issue.code === "custom" && typeof issue.params?.hint === "string" ? ` (${issue.params.hint})` : "";
    return key === "" ? issue.message : `${shown}: ${issue.message}${hint}`;
  });
  throw new UsageError("E_USAGE", `ops ${command}: ${problems.join("; ") || describeIssues(result.error)}`, {
    hint: `see: ops ${command} --help`,
  });
}

function argument(field: FieldOption): string {
  const name = field.kind === "list" ? `${field.key}...` : field.key;
  return field.required ? `<${name}>` : `[${name}]`;
}

function flags(field: FieldOption): string {
  switch (field.kind) {
    case "boolean":
      return field.defaultValue === "true" ? `--no-${field.key}` : `--${field.key}`;
    case "list":
      return `--${field.key} <value...>`;
    case "mapping":
      return `--${field.key} <name=value...>`;
    default:
      return `--${field.key} <value>`;
  }
}

function description(field: FieldOption): string {
  const standard =
    field.defaultValue === undefined || field.kind === "boolean" ? "" : ` (default: ${field.defaultValue})`;
  return `${field.description}${standard}${field.required ? " (required)" : ""}`;
}

/** Commander's name for a flag's value. */
function camelCase(key: string): string {
  return key.replaceAll(/-([a-z])/g, (_, letter: string) => letter.toUpperCase());
}
