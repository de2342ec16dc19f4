import { redact } from "../core/redaction.ts";

const shownLength = 120;

/** A command for a person to read, quoted as a POSIX shell would need it; cut where it is long. */
export function showCommand(command: readonly string[]): string {
  const text = redact(command.map(quoted).join(" "));
  return text.length <= shownLength ? text : `${text.slice(0, shownLength - 1)}…`;
}

function quoted(argument: string): string {
  return /^[\w@%+=:,./-]+$/.test(argument) ? argument : `'${argument.replaceAll("'", "'\\''")}'`;
}
