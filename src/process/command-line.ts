import { redact } from "../core/redaction.ts";

const shownLength = 120;

/** A command for a person to read, quoted as a POSIX shell would need it; cut where it is long. */
export function showCommand(command: readonly string[]): string {
  return cut(redact(command.map(quoted).join(" ")));
}

/**
 * The same for a plan, which is compared with a later one: it is the same whatever secrets this process has come to know
 * by then, of which one may be a word of the command. Who shows it masks them.
 */
export function plannedCommand(command: readonly string[]): string {
  return cut(command.map(quoted).join(" "));
}

function cut(text: string): string {
  return text.length <= shownLength ? text : `${text.slice(0, shownLength - 1)}…`;
}

function quoted(argument: string): string {
  return /^[\w@%+=:,./-]+$/.test(argument) ? argument : `'${argument.replaceAll("'", "'\\''")}'`;
}
