import type { ChalkInstance } from "chalk";
import { DiagnosticsError } from "../../core/diagnostic.ts";
import { causeText, type ErrorRecord, errorRecord, OpsError } from "../../core/errors.ts";
import { visible } from "../../core/visible.ts";

/** What happened, why, and what to type next. A stack only with --debug. */
export function renderError(error: unknown, color: ChalkInstance, debug: boolean): string {
  const record = errorRecord(error);
  const text =
    error instanceof DiagnosticsError
      ? `${error.message}\n${color.red(`${error.diagnostics.length} ${error.diagnostics.length === 1 ? "mistake" : "mistakes"}`)} ${color.dim(`(${error.code})`)}`
      : renderErrorRecord(
          error instanceof OpsError ? record : { ...record, hint: "run it again with --debug and report it" },
          color,
        );
  const stack =
    debug && error instanceof Error ? `\n${color.dim(error.stack ?? "")}${causes(error, color)}` : "";
  return text + stack;
}

export function renderErrorRecord(record: ErrorRecord, color: ChalkInstance): string {
  const lines = [`${color.red("✖")} ${visible(record.message)} ${color.dim(`(${record.code})`)}`];
  if (record.cause !== undefined && !record.message.includes(record.cause))
    lines.push(`  because: ${visible(record.cause)}`);
  if (record.hint !== undefined) lines.push(`  ${color.cyan("→")} ${record.hint}`);
  return lines.join("\n");
}

function causes(error: Error, color: ChalkInstance): string {
  const inner = error.cause instanceof Error ? (error.cause.stack ?? causeText(error.cause)) : undefined;
  return inner === undefined ? "" : color.dim(`\ncaused by: ${inner}`);
}
