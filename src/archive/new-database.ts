import pg from "pg";
import type { DatabaseSource } from "./manifest.ts";

/** An empty database with the encoding and the locale of the one that was dumped. */
export async function createDatabase(client: pg.Client, name: string, source: DatabaseSource): Promise<void> {
  const { rows } = await client.query<{ number: number }>(
    "SELECT current_setting('server_version_num')::int AS number",
  );
  await client.query(createStatement(name, source, rows[0]?.number ?? 0));
}

/**
 * Rules of ICU are asked for on every server: one that is too old for them refuses, since without them it would sort in
 * another order. Pure.
 *
 * @param serverVersion as `server_version_num` says it: 150018
 */
export function createStatement(name: string, source: DatabaseSource, serverVersion: number): string {
  const options = [
    "TEMPLATE template0",
    `ENCODING ${pg.escapeLiteral(source.encoding)}`,
    `LC_COLLATE ${pg.escapeLiteral(source.collate)}`,
    `LC_CTYPE ${pg.escapeLiteral(source.ctype)}`,
  ];
  if (serverVersion >= 150_000) {
    options.push(`LOCALE_PROVIDER ${source.localeProvider}`);
    if (source.locale !== null && source.localeProvider !== "libc") {
      const option = source.localeProvider === "icu" ? "ICU_LOCALE" : "BUILTIN_LOCALE";
      options.push(`${option} ${pg.escapeLiteral(source.locale)}`);
    }
  }
  if (source.icuRules !== undefined) options.push(`ICU_RULES ${pg.escapeLiteral(source.icuRules)}`);
  return `CREATE DATABASE ${pg.escapeIdentifier(name)} ${options.join(" ")}`;
}
