import type pg from "pg";
import type { DatabaseTarget } from "../config/environment.ts";
import { OpsError } from "../core/errors.ts";
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
 * The rows of one query, as arrays. It runs alone in a READ ONLY transaction that is rolled back, so that it cannot write tables;
 * what functions may do beyond that is for the role's rights to limit. Throws like `withConnection`, and `E_SQL` for a
 * statement that is no query.
 */
export function readOnlyRows(
  target: DatabaseTarget,
  { text, timeout, applicationName, signal }: ReadOnlyQuery,
): Promise<pg.QueryArrayResult<unknown[]>> {
  requireQuery(text);
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

const queries = ["select", "with", "values", "table", "show", "explain"];

/**
 * A READ ONLY transaction lets COPY write files and start programs, NOTIFY tell, LOAD load, DO and CALL run what they like: so only what
 * gives rows gets that far. A statement is what its first word says.
 */
function requireQuery(text: string): void {
  const statement = withoutComment(text);
  const [first = ""] = /^(\(|[a-z_]+)/i.exec(statement) ?? [];
  if (first === "(" || queries.includes(first.toLowerCase())) return;
  const begins = first === "" ? "this one does not" : `this one begins with ${first.toUpperCase()}`;
  throw new OpsError("E_SQL", `What only reads begins with ${queries.join(", ").toUpperCase()}; ${begins}`, {
    hint: "write a query that gives rows",
    retryable: false,
  });
}

/** Without what PostgreSQL passes over at the beginning; comments of its kind can stand in one another. */
function withoutComment(text: string): string {
  const rest = text.replace(/^[ \t\n\r\f\v]+/, "");
  if (rest.startsWith("--")) return withoutComment(rest.replace(/^[^\n\r]*/, ""));
  if (!rest.startsWith("/*")) return rest;
  let depth = 0;
  for (const mark of rest.matchAll(/\/\*|\*\//g)) {
    depth += mark[0] === "/*" ? 1 : -1;
    if (depth === 0) return withoutComment(rest.slice(mark.index + 2));
  }
  return "";
}
