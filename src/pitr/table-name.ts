import pg from "pg";
import { UsageError } from "../core/errors.ts";

/** As in the catalogs: neither quoted nor folded any more. */
export interface TableName {
  readonly schema: string;
  readonly name: string;
}

/** `orders`, `shop.orders`, `"Odd Name"."T"`, as in SQL: without quotes folded to lower case. Throws `E_INPUT`. */
export function parseTableName(text: string): { readonly schema: string | undefined; readonly name: string } {
  const parts = [...text.matchAll(/(?:^|\.)(?:"((?:[^"]|"")+)"|([\p{L}_][\p{L}\p{N}_$]*))/gu)];
  const isWhole = parts.reduce((sum, [part]) => sum + part.length, 0) === text.length;
  const names = parts.map(
    // PostgreSQL folds the letters of ASCII, and no others.
    ([, quoted, plain]) =>
      quoted?.replaceAll('""', '"') ?? (plain ?? "").replace(/[A-Z]/g, (letter) => letter.toLowerCase()),
  );
  const [first, second] = names;
  if (!isWhole || text.startsWith(".") || first === undefined || names.length > 2) {
    throw new UsageError("E_INPUT", `"${text}" is not the name of a table`, {
      hint: 'write it as in SQL: orders, shop.orders, "Odd Name"."T"',
    });
  }
  return second === undefined ? { schema: undefined, name: first } : { schema: first, name: second };
}

/** For SQL. */
export function sqlName({ schema, name }: TableName): string {
  return `${pg.escapeIdentifier(schema)}.${pg.escapeIdentifier(name)}`;
}

/** For people: quoted only where SQL asks for it. */
export function shownName({ schema, name }: TableName): string {
  const shown = (part: string) => (/^[a-z_][a-z0-9_$]*$/.test(part) ? part : pg.escapeIdentifier(part));
  return `${shown(schema)}.${shown(name)}`;
}

export const sameTable = (a: TableName, b: TableName): boolean => a.schema === b.schema && a.name === b.name;
