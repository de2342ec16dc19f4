import type { Command } from "commander";

/** Flags that every command understands. */
export interface CommonOptions {
  readonly config?: string;
  readonly env?: string;
  readonly json?: boolean;
  readonly events?: boolean;
  readonly yes?: boolean;
  readonly dryRun?: boolean;
  readonly debug?: boolean;
  /** False for --no-restore-point. */
  readonly restorePoint?: boolean;
}

export function commonOptions(command: Command, which: { readonly changes: boolean }): Command {
  command
    .option("-c, --config <file>", "configuration file (default: .opsrc, searched upwards; OPS_CONFIG)")
    .option("-e, --env <name>", "environment (default: default-environment of .opsrc; OPS_ENV)")
    .option("--json", "print one JSON document")
    .option("--debug", "print stack traces");
  if (!which.changes) return command;
  return command
    .option("-n, --dry-run", "show what would change, and change nothing")
    .option("-y, --yes", "do not ask")
    .option("--events", "print every event as a line of JSON");
}

export function restorePointOption(command: Command): Command {
  return command.option("--no-restore-point", "make no restore point first, where the WAL is archived");
}
