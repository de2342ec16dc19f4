import type { Environment } from "../config/environment.ts";
import { launcher } from "../process/launcher.ts";

/**
 * This very command as the server's shell calls it, of any folder: `wal push %p`, `wal fetch %f %p`. By its launcher, which
 * answers most of these calls without Node; which Node it is otherwise says a variable, as the server's PATH may have none.
 */
export function commandOfServer(
  environment: Environment,
  database: string,
  words: readonly string[],
): string {
  const options = [
    "--database",
    database,
    "--env",
    environment.name,
    ...(environment.file === undefined ? [] : ["--config", environment.file]),
  ];
  const [node, file] = launcher();
  return `OPS_NODE=${shellQuoted(node)} ${shellCommand([file, ...words, ...options])}`;
}

/** As in archive_command and restore_command: `%p` and `%f` stay what PostgreSQL replaces. */
export function shellCommand(words: readonly string[]): string {
  return words.map(shellQuoted).join(" ");
}

/** PostgreSQL replaces `%p` and `%f`; other percent signs are doubled. */
function shellQuoted(word: string): string {
  if (word === "%p" || word === "%f") return `"${word}"`;
  const text = word.replaceAll("%", "%%");
  return /^[\w./:=@+,-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
}
