import type pg from "pg";
import type { DatabaseTarget } from "../config/environment.ts";
import { OpsError } from "../core/errors.ts";
import { withConnection } from "../postgres/connection.ts";

export interface CatalogOptions {
  /** Milliseconds that the server lets one statement run. */
  readonly timeout: number;
  readonly signal: AbortSignal;
}

/** Who asks, and whom. */
export interface Asked {
  /** The role, as it is written in SQL. */
  readonly role: string;
  /** Whether statistics of other users' sessions are shown to it. */
  readonly seesSessions: boolean;
  readonly isStandby: boolean;
  /** Whether a pooler stands between: its clients are not the server's. */
  readonly isPooled: boolean;
  readonly database: string;
}

export interface Answer<T> {
  readonly rows: readonly T[];
  readonly asked: Asked;
}

/** Asks a server about itself. */
export interface Catalog {
  /**
   * One statement in a READ ONLY transaction of its own, which is rolled back: what it shows is of now. Only
   * pg_catalog is on its search path, so that no object of the database's owner is called instead.
   */
  ask<T extends pg.QueryResultRow>(text: string, values?: readonly unknown[]): Promise<Answer<T>>;
}

/** The other checks of a gate are no part of what is measured. */
export const ownApplication = "ops gate";

/** A measurement stands in nobody's queue for longer, in milliseconds. */
const lockTimeout = 1000;

const asked = `
SELECT quote_ident(current_user) AS role, pg_has_role('pg_read_all_stats', 'USAGE') AS "seesSessions",
       pg_is_in_recovery() AS "isStandby", pg_backend_pid() AS pid, current_database()::text AS database`;

/** Throws like `withConnection`, and for a refused statement `E_SQL`. */
export function withCatalog<T>(
  target: DatabaseTarget,
  { timeout, signal }: CatalogOptions,
  work: (catalog: Catalog) => Promise<T>,
): Promise<T> {
  return withConnection(target, { signal, applicationName: ownApplication }, (client) =>
    work({ ask: (text, values = []) => ask(client, timeout, text, values) }),
  );
}

async function ask<T extends pg.QueryResultRow>(
  client: pg.Client,
  timeout: number,
  text: string,
  values: readonly unknown[],
): Promise<Answer<T>> {
  const limit = Math.max(1, Math.round(timeout));
  const opened: unknown = await client.query(
    `BEGIN READ ONLY; SET LOCAL search_path = pg_catalog, pg_temp; SET LOCAL statement_timeout = ${limit};
     SET LOCAL lock_timeout = ${Math.min(limit, lockTimeout)};${asked}`,
  );
  try {
    // Several statements have several results, which the driver's types do not say.
    const [row] = (opened as pg.QueryResult<Omit<Asked, "isPooled"> & { pid: number }>[]).at(-1)?.rows ?? [];
    if (row === undefined) throw new Error("a query without FROM answers with no row");
    const { pid, ...rest } = row;
    const { rows } = await client.query<T>(text, [...values]);
    return { rows, asked: { ...rest, isPooled: pid !== Reflect.get(client, "processID") } };
  } finally {
    // A broken connection has nothing left to roll back; its own error is the one to report.
    await client.query("ROLLBACK").catch(() => undefined);
  }
}

/** What this role does not see must not pass for what is not there. Throws `E_STATISTICS_HIDDEN`. */
export function requireSight({ role, seesSessions }: Asked): void {
  if (seesSessions) return;
  throw new OpsError(
    "E_STATISTICS_HIDDEN",
    `The role ${role} may not see other users' sessions; let it: GRANT pg_monitor TO ${role}`,
    { hint: `as a superuser: GRANT pg_monitor TO ${role}`, retryable: false },
  );
}
