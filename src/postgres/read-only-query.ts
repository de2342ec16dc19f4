import type pg from "pg";
import type { DatabaseTarget } from "../config/environment.ts";
import { withConnection } from "./connection.ts";

export interface ReadOnlyQuery {
  readonly text: string;
  /** Milliseconds that the server lets it run. */
  readonly timeout: number;
  /** Shown in pg_stat_activity. */
  readonly applicationName: string;
  readonly signal?: AbortSignal | undefined;
}

/**
 * The rows of one statement, as arrays. It runs alone in a READ ONLY transaction that is rolled back, so that it cannot write tables;
 * what functions may do beyond that is for the role's rights to limit. Throws like `withConnection`.
 */
export function readOnlyRows(
  target: DatabaseTarget,
  { text, timeout, applicationName, signal }: ReadOnlyQuery,
): Promise<pg.QueryArrayResult<unknown[]>> {
  return withConnection(target, { signal, applicationName }, async (client) => {
    await client.query("BEGIN READ ONLY");
    await client.query(`SET LOCAL statement_timeout = ${Math.max(1, Math.round(timeout))}`);
    try {
      // The extended protocol takes one statement only: no `COMMIT; DELETE …`.
      const query: pg.QueryArrayConfig & { queryMode: "extended" } = {
        text,
        rowMode: "array",
        queryMode: "extended",
      };
      return await client.query<unknown[]>(query);
    } finally {
      // A broken connection has nothing left to roll back; its own error is the one to report.
      await client.query("ROLLBACK").catch(() => undefined);
    }
  });
}
