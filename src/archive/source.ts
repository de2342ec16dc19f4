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
      row: {
        datcollate: string;
        datctype: string;
        datlocprovider?: string;
        daticulocale?: string;
        datlocale?: string;
      };
    }>(`
      SELECT datname AS name,
             current_setting('server_version') AS version,
             current_setting('server_version_num')::int AS number,
             pg_encoding_to_char(encoding) AS encoding,
             to_jsonb(d) AS row  -- the columns of the locale provider differ between PostgreSQL 14, 15 and 17
        FROM pg_database d
       WHERE datname = current_database()`);
    const [found] = rows;
    if (found === undefined) throw new Error("a database that is connected to is not in pg_database");
    const { row } = found;
    return {
      database: found.name,
      serverVersion: found.version.split(" ")[0] ?? found.version,
      serverMajor: Math.floor(found.number / 10_000),
      encoding: found.encoding,
      localeProvider: row.datlocprovider === "i" ? "icu" : row.datlocprovider === "b" ? "builtin" : "libc",
      collate: row.datcollate,
      ctype: row.datctype,
      locale: row.datlocale ?? row.daticulocale ?? null,
    };
  });
}
