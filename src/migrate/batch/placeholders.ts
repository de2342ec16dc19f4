import { loadSqlParser } from "../../postgres/sql-parser.ts";
/** The names that a batched file has for the keys of a batch. */
export const placeholders = [":batch_start", ":batch_end"] as const;

/** Where a placeholder stands in a file. */
export interface PlaceholderUse {
  /** 1: `:batch_start`, 2: `:batch_end`. */
  readonly parameter: 1 | 2;
  /** UTF-16 index into the text. */
  readonly index: number;
}

const parameters: ReadonlyMap<string, 1 | 2> = new Map([
  ["batch_start", 1],
  ["batch_end", 2],
]);
const colon = 58;

/**
 * Finds the placeholders with PostgreSQL's own scanner: what stands in a string, a comment or behind `::` is none.
 * None are found in a text that the scanner cannot read: the parser will say why.
 */
export async function findPlaceholders(sql: string): Promise<readonly PlaceholderUse[]> {
  if (!/:batch_(start|end)\b/i.test(sql)) return [];
  const parser = await loadSqlParser();
  const bytes = Buffer.from(sql);
  let tokens: ReturnType<typeof parser.scanSync>["tokens"];
  try {
    ({ tokens } = parser.scanSync(sql));
  } catch (error) {
    if (!parser.hasSqlDetails(error)) throw error;
    return [];
  }
  return tokens.flatMap(({ start, end, tokenType }, position) => {
    const name = tokens[position + 1];
    if (tokenType !== colon || name === undefined || name.start !== end) return [];
    const parameter = parameters.get(bytes.subarray(name.start, name.end).toString().toLowerCase());
    if (parameter === undefined) return [];
    return [{ parameter, index: bytes.subarray(0, start).toString().length }];
  });
}

/**
 * The text with `$1` and `$2` for the placeholders, as long as before, so that places in it are places in the file:
 * what the parser reads.
 */
export function parameterised(sql: string, uses: readonly PlaceholderUse[]): string {
  return replaced(sql, uses, (use) => `$${use.parameter}`.padEnd(lengthOf(use)));
}

/** The text as the server runs it, with parameters of the key's type. */
export function executable(sql: string, uses: readonly PlaceholderUse[], keyType: string): string {
  return replaced(sql, uses, (use) => typed(use, keyType));
}

/**
 * The character of the file (counted from 1, an emoji is one) for a character of its `executable` text, as the server
 * counts them in its errors.
 */
export function characterInFile(
  sql: string,
  uses: readonly PlaceholderUse[],
  keyType: string,
  character: number,
): number {
  let longer = 0;
  for (const use of uses) {
    const begin = [...sql.slice(0, use.index)].length + 1;
    const now = typed(use, keyType).length;
    if (character < begin + longer) break;
    if (character < begin + longer + now) return begin;
    longer += now - lengthOf(use);
  }
  return character - longer;
}

function typed({ parameter }: PlaceholderUse, keyType: string): string {
  return `($${parameter}::${keyType})`;
}

function lengthOf({ parameter }: PlaceholderUse): number {
  return placeholders[parameter - 1]?.length ?? 0;
}

function replaced(
  sql: string,
  uses: readonly PlaceholderUse[],
  text: (use: PlaceholderUse) => string,
): string {
  let result = "";
  let from = 0;
  for (const use of uses) {
    result += sql.slice(from, use.index) + text(use);
    from = use.index + lengthOf(use);
  }
  return result + sql.slice(from);
}
