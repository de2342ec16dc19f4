/**
 * What somebody else wrote (a server, a program, a person) as a terminal may show it: control characters, and those that
 * turn the direction of writing, are spelled out. Lines and tabs stay.
 */
export function visible(text: string): string {
  return text.replace(
    /(?![\n\t])[\p{Cc}\u2028\u2029\u202A-\u202E\u2066-\u2069]/gu,
    (letter) => `\\u{${(letter.codePointAt(0) ?? 0).toString(16)}}`,
  );
}

/** The same on one line: no line of it can begin with what a log of CI takes for a command. */
export function visibleLine(text: string): string {
  return visible(text.replace(/\s*[\r\n\u2028\u2029]\s*/g, " "));
}
