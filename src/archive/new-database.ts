import pg from "pg";
import type { DatabaseSource } from "./manifest.ts";

/** An empty database with the encoding and the locale of the one that was dumped. */
export async function createDatabase(client: pg.Client, name: string, source: DatabaseSource): Promise<void> {
  const { rows } = await client.query<{ number: number }>(
    "SELECT current_setting('server_version_num')::int AS number",
  );
  const options = [
    "TEMPLATE template0",
    `ENCODING ${pg.escapeLiteral(source.encoding)}`,
    `LC_COLLATE ${pg.escapeLiteral(source.collate)}`,
    `LC_CTYPE ${pg.escapeLiteral(source.ctype)}`,
  ];
  if ((rows[0]?.number ?? 0) >= 150_000) {
    options.push(`LOCALE_PROVIDER ${source.localeProvider}`);
    if (source.locale !== null && source.localeProvider !== "libc") {
      const option = source.localeProvider === "icu" ? "ICU_LOCALE" : "BUILTIN_LOCALE";
      options.push(`${option} ${pg.escapeLiteral(source.locale)}`);
    }
  }
  await client.query(`CREATE DATABASE ${pg.escapeIdentifier(name)} ${options.join(" ")}`);
}
