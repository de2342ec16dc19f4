import type { DatabaseTarget } from "../config/environment.ts";
import { withConnection } from "../postgres/connection.ts";
import type { DatabaseSource } from "./manifest.ts";

export type ObservedSource = DatabaseSource & { readonly serverMajor: number };

/** What must be known of a database to make one like it. */
export async function observeSource(target: DatabaseTarget, signal: AbortSignal): Promise<ObservedSource> {
  return withConnection(target, { signal }, async (client) => {
    const { rows } = await client.query<{
      name: string;
      version: string;
      number: number;
      encoding: string;
      row: DatabaseRow;
    }>(`
      SELECT datname AS name,
             current_setting('server_version') AS version,
             current_setting('server_version_num')::int AS number,
             pg_encoding_to_char(encoding) AS encoding,
             to_jsonb(d) AS row  -- the columns of the locale provider differ between PostgreSQL 14, 15, 16 and 17
        FROM pg_database d
       WHERE datname = current_database()`);
    const [found] = rows;
    if (found === undefined) throw new Error("a database that is connected to is not in pg_database");
    return {
      database: found.name,
      serverVersion: found.version.split(" ")[0] ?? found.version,
      serverMajor: Math.floor(found.number / 10_000),
      encoding: found.encoding,
      ...localeOf(found.row),
    };
  });
}

/** What pg_database says of a locale: 14 has no providers, 15 and 16 call an ICU locale `daticulocale`, 16 has rules. */
export interface DatabaseRow {
  readonly datcollate: string;
  readonly datctype: string;
  readonly datlocprovider?: string;
  readonly daticulocale?: string | null;
  readonly datlocale?: string | null;
  readonly daticurules?: string | null;
}

/** The part of a source that says how its texts are sorted and cased. Pure. */
export function localeOf(
  row: DatabaseRow,
): Pick<DatabaseSource, "localeProvider" | "collate" | "ctype" | "locale" | "icuRules"> {
  const rules = row.daticurules ?? "";
  return {
    localeProvider: row.datlocprovider === "i" ? "icu" : row.datlocprovider === "b" ? "builtin" : "libc",
    collate: row.datcollate,
    ctype: row.datctype,
    locale: row.datlocale ?? row.daticulocale ?? null,
    ...(rules === "" ? {} : { icuRules: rules }),
  };
}
