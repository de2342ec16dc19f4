import type pg from "pg";
import { name } from "../core/schema.ts";
import { withConnection } from "../postgres/connection.ts";
import type { OperationContext } from "../run/context.ts";

export const flagName = name("The flag");
export const source = name(
  "Where the flag lives; default: the only flag source, or the default database",
).optional();

export async function withFlagSource<T>(
  context: OperationContext,
  name: string | undefined,
  work: (client: pg.Client) => Promise<T>,
): Promise<T> {
  const { database } = context.environment.flagSource(name);
  return withConnection(database, { signal: context.signal, applicationName: "ops flag" }, work);
}
