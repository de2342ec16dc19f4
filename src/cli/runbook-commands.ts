import { readFile } from "node:fs/promises";
import type { Command } from "commander";
import { type Diagnostic, DiagnosticsError } from "../core/diagnostic.ts";
import { ExitCode, UsageError } from "../core/errors.ts";
import { resolveInputs } from "../runbook/inputs.ts";
import { runbookJsonSchema } from "../runbook/json-schema.ts";
import { parseRunbook } from "../runbook/parse.ts";
import { planRunbook, usedVariables } from "../runbook/plan.ts";
import { type Runbook, steps } from "../runbook/runbook.ts";
import { unselectedSteps } from "../runbook/selection.ts";
import { type CommonOptions, commonOptions, restorePointOption } from "./options.ts";
import { planAndRun, showPlan } from "./run-command.ts";
import { allOperations, looseContext, openSession, operationCatalog } from "./session.ts";
import type { Terminal } from "./terminal.ts";

interface SelectOptions extends CommonOptions {
  readonly input?: readonly string[];
  readonly from?: string;
  readonly only?: readonly string[];
  readonly skip?: readonly string[];
  readonly plan?: string;
}

export function runCommand(command: Command, terminal: Terminal, ended: (code: ExitCode) => void): void {
  selecting(command.argument("<file>", "runbook"))
    .option("--plan <digest>", "run only if the plan is still this one (from ops plan)")
    .addHelpText("after", "\nExample:\n  $ ops run runbooks/deploy.yaml --input to=green --yes");
  commonOptions(command, { changes: true }).action(async (file: string) => {
    const options = command.opts<SelectOptions>();
    const { runbook, inputs, unselected } = await typedRunbook(file, options);
    const session = await openSession(terminal, options);
    ended(await planAndRun(session, runbook, { inputs, unselected, plan: options.plan }));
  });
}

export function planCommand(command: Command, terminal: Terminal, ended: (code: ExitCode) => void): void {
  selecting(command.argument("<file>", "runbook")).addHelpText(
    "after",
    "\nExample:\n  $ ops plan runbooks/deploy.yaml --json",
  );
  commonOptions(command, { changes: false }).action(async (file: string) => {
    const options = command.opts<SelectOptions>();
    const { runbook, inputs, unselected } = await typedRunbook(file, options);
    const session = await openSession(terminal, options);
    const variables = usedVariables(runbook, process.env);
    const { environment } = session;
    showPlan(
      session,
      await planRunbook({
        runbook,
        environment,
        inputs,
        variables,
        unselected,
        withoutRestorePoints: options.restorePoint === false ? true : undefined,
        context: looseContext(session),
      }),
    );
    ended(ExitCode.done);
  });
}

export function runbookCommand(command: Command, terminal: Terminal, ended: (code: ExitCode) => void): void {
  const validate = command
    .command("validate")
    .description("Check runbooks; every mistake with its place and the way out");
  commonOptions(validate.argument("<file...>", "runbooks"), { changes: false })
    .addHelpText("after", "\nExample:\n  $ ops runbook validate runbooks/*.yaml")
    .action(async (files: string[]) =>
      ended(await validateFiles(files, terminal, validate.opts<CommonOptions>())),
    );
  command
    .command("schema")
    .description("Print the JSON Schema of runbooks, for editors")
    .addHelpText("after", "\nExample:\n  $ ops runbook schema > runbook.schema.json")
    .action(async () => terminal.out(JSON.stringify(runbookJsonSchema(await allOperations()), null, 2)));
}

/** The runbook of a command line, with what was typed beside it. Throws what `loadRunbook` does, and `E_USAGE`. */
export async function typedRunbook(file: string, options: SelectOptions) {
  const runbook = await loadRunbook(file);
  return {
    runbook,
    inputs: resolveInputs(runbook, pairs(options.input)),
    unselected: unselectedSteps(runbook, options),
  };
}

/** Reads and checks a runbook file. Throws a DiagnosticsError, or `E_RUNBOOK_FILE`. */
async function loadRunbook(file: string): Promise<Runbook> {
  let text: string;
  try {
    text = await readFile(file, "utf8");
  } catch (error) {
    throw new UsageError("E_RUNBOOK_FILE", `The runbook ${file} cannot be read`, {
      cause: error,
      hint: "name a runbook file, such as runbooks/deploy.yaml",
    });
  }
  return parseRunbook(file, text, operationCatalog);
}

async function validateFiles(
  files: readonly string[],
  terminal: Terminal,
  options: CommonOptions,
): Promise<ExitCode> {
  const problems: Diagnostic[] = [];
  const valid: { file: string; name: string; steps: number }[] = [];
  for (const file of files) {
    try {
      const runbook = await loadRunbook(file);
      valid.push({ file, name: runbook.name, steps: steps(runbook).length });
    } catch (error) {
      if (!(error instanceof DiagnosticsError)) throw error;
      problems.push(...error.diagnostics);
    }
  }
  if (problems.length > 0) throw new DiagnosticsError("E_RUNBOOK", problems);
  if (options.json === true) terminal.out(JSON.stringify({ valid }, null, 2));
  else
    for (const each of valid)
      terminal.out(
        `${terminal.color.green("✔")} ${each.file}: ${each.name}, ${each.steps} ${each.steps === 1 ? "step" : "steps"}`,
      );
  return ExitCode.done;
}

function selecting(command: Command): Command {
  return restorePointOption(command)
    .option("-i, --input <name=value...>", "a value for an input of the runbook")
    .option("--from <step>", "begin at this step")
    .option("--only <step...>", "run only these steps")
    .option("--skip <step...>", "leave these steps out");
}

function pairs(texts: readonly string[] = []): Record<string, string> {
  return Object.fromEntries(
    texts.map((text) => {
      const at = text.indexOf("=");
      if (at < 1)
        throw new UsageError("E_USAGE", `--input takes name=value, not "${text}"`, {
          hint: "write it as --input version=2",
        });
      return [text.slice(0, at), text.slice(at + 1)];
    }),
  );
}
