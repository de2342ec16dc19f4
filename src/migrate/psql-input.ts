export const rowsBehindCopy = "rows behind COPY … FROM stdin are not supported: write them as INSERT";

/** Why a text that psql takes is no SQL to a server; `index` is where the parser stumbled. */
export function explainPsqlInput(sql: string, index: number): string | undefined {
  const copy = [...sql.slice(0, index).matchAll(copyFromStdin)].at(-1);
  // The rows end with a line of \. and have no statement among them.
  const rows = copy === undefined ? undefined : sql.slice(copy.index + copy[0].length, index);
  if (rows !== undefined && !/;|^\\\.$/m.test(rows)) {
    return rowsBehindCopy;
  }
  if (sql[index] !== "\\") return undefined;
  const command = /^\\\S*/.exec(sql.slice(index))?.[0] ?? "\\";
  return `${command} is a command of psql, which is not supported: the file goes to the server as SQL`;
}

const copyFromStdin = /^[ \t]*COPY\b[^;]*\bFROM\s+STDIN\b[^;]*;/gim;
