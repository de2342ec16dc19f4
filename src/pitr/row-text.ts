/** A row of COPY's text format (the manual: COPY, "Text Format"), in UTF-8: its bytes with the line feed. */
export type RowText = Buffer;

const tab = 0x09;
const backslash = 0x5c;

/** Where the field of this number, counted from 0, begins; the row's length where it has fewer. */
export function fieldStart(row: RowText, number: number): number {
  let at = 0;
  for (let left = number; left > 0; left -= 1) {
    const found = row.indexOf(tab, at);
    if (found === -1) return row.length;
    at = found + 1;
  }
  return at;
}

/** The fields' values; null for NULL. */
export function fieldsOf(row: RowText): (string | null)[] {
  const end = row.at(-1) === 0x0a ? row.length - 1 : row.length;
  return row
    .toString("utf8", 0, end)
    .split("\t")
    .map((each) => (each === "\\N" ? null : unescaped(each)));
}

/** The bytes of one field's value; undefined for NULL. */
export function valueBytes(row: RowText, from: number, to: number): Buffer | undefined {
  const raw = row.subarray(from, to);
  if (raw.indexOf(backslash) === -1) return raw;
  const text = raw.toString("utf8");
  return text === "\\N" ? undefined : Buffer.from(unescaped(text));
}

const escapes: Readonly<Record<string, string>> = { b: "\b", f: "\f", n: "\n", r: "\r", t: "\t", v: "\v" };

function unescaped(text: string): string {
  return text.includes("\\")
    ? text.replace(/\\(.)/gs, (_, letter: string) => escapes[letter] ?? letter)
    : text;
}
