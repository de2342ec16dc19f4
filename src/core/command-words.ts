import { UsageError } from "./errors.ts";

/** What a shell would do something with, where it is not quoted. */
const operators = new Map([
  ["|", "a pipe"],
  ["&", "a list or a command in the background"],
  [";", "a second command"],
  ["<", "a redirection"],
  [">", "a redirection"],
  ["(", "a subshell"],
  [")", "a subshell"],
  ["\n", "a second command"],
  ["*", "a pattern of file names"],
  ["?", "a pattern of file names"],
]);

/**
 * A command line as a list of words: blanks part them, `'…'`, `"…"` and `\` quote as in a POSIX shell. No shell reads
 * it, so what only a shell could do (a pipe, a second command, a variable) is refused with its place. Throws
 * `E_COMMAND_LINE`.
 */
export function commandWords(text: string): string[] {
  const words: string[] = [];
  let word: string | undefined;
  let quote: "'" | '"' | undefined;
  let quotedAt = 0;
  for (let at = 0; at < text.length; at += 1) {
    const sign = text[at] ?? "";
    if (quote === "'") {
      if (sign === "'") quote = undefined;
      else word += sign;
      continue;
    }
    if (sign === "$" || sign === "`") throw shellOnly(text, at, "a variable or a substitution");
    if (sign === "\\") {
      const next = text[at + 1];
      if (next === undefined) throw refused(text, at, "a backslash at the end quotes nothing");
      const kept = quote === '"' && !'"\\$`'.includes(next) ? `\\${next}` : next;
      word = (word ?? "") + kept;
      at += 1;
    } else if (quote === '"') {
      if (sign === '"') quote = undefined;
      else word += sign;
    } else if (sign === "'" || sign === '"') {
      quote = sign;
      quotedAt = at;
      word ??= "";
    } else if (sign === " " || sign === "\t") {
      if (word !== undefined) words.push(word);
      word = undefined;
    } else {
      const operator = operators.get(sign);
      if (operator !== undefined) throw shellOnly(text, at, operator);
      word = (word ?? "") + sign;
    }
  }
  if (quote !== undefined) throw refused(text, quotedAt, "this quote is never closed");
  if (word !== undefined) words.push(word);
  if (words.length === 0) throw refused(text, 0, "it names no program");
  return words;
}

function shellOnly(text: string, at: number, what: string): UsageError {
  return refused(text, at, `${what} needs a shell, and none reads it`);
}

function refused(text: string, at: number, why: string): UsageError {
  return new UsageError(
    "E_COMMAND_LINE",
    `The command ${JSON.stringify(text)}, character ${at + 1}: ${why}`,
    {
      hint: 'quote the sign to mean itself, or name a shell on purpose: sh -c "…" as a list, [sh, -c, "first | second"]',
    },
  );
}
