import { mkdirSync, renameSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { stringify } from "yaml";
import type { OperationContext } from "../run/context.ts";
import type { Schedule } from "./schedule.ts";

/** The folder for what a schedule's runs need and write: the runbook of its operation, the newest output. */
export function folderOf(context: OperationContext): string {
  return join(context.stateDirectory, "schedules", context.environment.name);
}

export function logOf(context: OperationContext, schedule: Schedule): string {
  return join(folderOf(context), `${schedule.name}.log`);
}

/**
 * The runbook that a schedule runs: its own file, or one of a single step, written here. So its input is checked, its
 * run journaled and resumed as any other's.
 */
export function runbookOf(context: OperationContext, schedule: Schedule): string {
  const { settings } = schedule;
  if (settings.runbook !== undefined) return resolve(context.environment.directory, settings.runbook);
  const file = join(folderOf(context), `${schedule.name}.yaml`);
  mkdirSync(folderOf(context), { recursive: true, mode: 0o700 });
  const text = stringify({
    name: schedule.name,
    description: `The schedule ${schedule.name}`,
    steps: [
      { id: (settings.uses ?? "").replaceAll(".", "-"), uses: settings.uses, with: settings.with ?? {} },
    ],
  });
  // Aside and renamed: another process may be reading it.
  const own = `${file}.${process.pid}`;
  writeFileSync(own, text, { mode: 0o600 });
  renameSync(own, file);
  return file;
}

/** The arguments of the command that runs it. */
export function runArguments(context: OperationContext, schedule: Schedule): string[] {
  const inputs = Object.entries(schedule.settings.inputs ?? {});
  return [
    "run",
    runbookOf(context, schedule),
    ...inputs.flatMap(([name, value]) => ["--input", `${name}=${String(value)}`]),
    ...commonArguments(context),
  ];
}

export function resumeArguments(context: OperationContext, run: string): string[] {
  return ["runs", "resume", run, ...commonArguments(context)];
}

function commonArguments({ environment }: OperationContext): string[] {
  return [
    ...(environment.file === undefined ? [] : ["--config", environment.file]),
    "--env",
    environment.name,
    "--yes",
  ];
}
