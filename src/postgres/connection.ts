import pg from "pg";
import { parseIntoClientConfig } from "pg-connection-string";
import type { DatabaseTarget } from "../config/environment.ts";
import { OpsError, UsageError } from "../core/errors.ts";
import { opsRightsHint } from "./ops-schema.ts";

export interface ConnectOptions {
  /** Aborting it cancels the running statement on the server and ends the connection. */
  readonly signal?: AbortSignal | undefined;
  /** Another database of the same server: `postgres`, a restored one. */
  readonly database?: string | undefined;
  /** Shown in pg_stat_activity. Default: `ops`. */
  readonly applicationName?: string | undefined;
  /** Milliseconds that a statement may take to be answered, also by a server that is cut off without a word. Default: any. */
  readonly queryTimeout?: number | undefined;
  /** A connection of the streaming replication protocol: its commands instead of SQL. */
  readonly replication?: true | undefined;
}

/** One connection; the caller ends it, or better: uses `withConnection`. Throws `E_DATABASE_UNREACHABLE`. */
export async function connect(target: DatabaseTarget, options: ConnectOptions = {}): Promise<pg.Client> {
  options.signal?.throwIfAborted();
  const config = { ...(await clientConfig(target)), application_name: options.applicationName ?? "ops" };
  if (options.database !== undefined) config.database = options.database;
  // The driver knows the parameter; its types do not.
  const protocol: pg.ClientConfig & { readonly replication?: "true" } = {
    ...config,
    ...(options.replication === undefined ? {} : { replication: "true" }),
  };
  const limit = options.queryTimeout === undefined ? {} : { query_timeout: options.queryTimeout };
  const client = new pg.Client({ ...protocol, ...limit, connectionTimeoutMillis: 10_000, keepAlive: true });
  // An idle connection that breaks emits `error`; the next query reports it.
  client.on("error", () => undefined);
  try {
    await client.connect();
  } catch (error) {
    throw unreachable(target, config, error);
  }
  const { signal } = options;
  if (signal?.aborted === true) {
    await client.end().catch(() => undefined);
    throw signal.reason;
  }
  if (signal !== undefined) {
    const cancel = () => void cancelAndClose(client, config);
    signal.addEventListener("abort", cancel, { once: true });
    client.once("end", () => signal.removeEventListener("abort", cancel));
  }
  return client;
}

/** Connects, works, disconnects whatever happens. Server errors come out as `OpsError`s (see `databaseError`). */
export async function withConnection<T>(
  target: DatabaseTarget,
  options: ConnectOptions,
  work: (client: pg.Client) => Promise<T>,
): Promise<T> {
  const client = await connect(target, options);
  try {
    return await work(client);
  } catch (error) {
    if (options.signal?.aborted === true) throw options.signal.reason;
    throw databaseError(target, error);
  } finally {
    await client.end().catch(() => undefined);
  }
}

/** What libpq's own programs read from the environment, so that no password is in an argument list. */
export async function connectionEnvironment(target: DatabaseTarget): Promise<Record<string, string>> {
  const config = await clientConfig(target);
  const parameters: Record<string, string | undefined> = {
    PGHOST: config.host,
    PGPORT: config.port?.toString(),
    PGUSER: config.user,
    PGDATABASE: config.database,
    PGPASSWORD: typeof config.password === "string" ? config.password : undefined,
    PGSSLMODE: new URL(await target.url.reveal()).searchParams.get("sslmode") ?? undefined,
    PGSSLROOTCERT: new URL(await target.url.reveal()).searchParams.get("sslrootcert") ?? undefined,
    PGSSLCERT: new URL(await target.url.reveal()).searchParams.get("sslcert") ?? undefined,
    PGSSLKEY: new URL(await target.url.reveal()).searchParams.get("sslkey") ?? undefined,
    PGCONNECT_TIMEOUT: "10",
    PGAPPNAME: "ops",
  };
  return Object.fromEntries(Object.entries(parameters).filter((each): each is [string, string] => !!each[1]));
}

async function clientConfig(target: DatabaseTarget): Promise<pg.ClientConfig> {
  const url = await target.url.reveal();
  let config: pg.ClientConfig;
  try {
    if (!/^postgres(ql)?:\/\//.test(url)) throw new Error('it does not begin with "postgresql://"');
    config = parseIntoClientConfig(url);
    // The package leaves %2F, %3D and the like in the path as they are; libpq decodes them.
    const path = URL.canParse(url) ? new URL(url).pathname.slice(1) : "";
    if (path !== "") config.database = decodeURIComponent(path);
  } catch (error) {
    throw new UsageError(
      "E_DATABASE_URL",
      `The URL of database ${target.name} (${target.url.shown}) is not usable`,
      {
        cause: error instanceof Error && !error.message.includes(url) ? error : undefined,
        hint: "write it as postgresql://user@host:5432/database",
      },
    );
  }
  if (target.password !== undefined) config.password = await target.password.reveal();
  return config;
}

function unreachable(target: DatabaseTarget, config: pg.ClientConfig, cause: unknown): OpsError {
  const where = `${config.user ?? ""}@${config.host ?? "localhost"}:${config.port ?? 5432}/${config.database ?? ""}`;
  return new OpsError("E_DATABASE_UNREACHABLE", `Cannot connect to database ${target.name} (${where})`, {
    cause,
    hint: "see what is missing with: ops doctor",
  });
}

/** A server's or the connection's error as a named one: lock timeouts and lost connections are worth a retry. */
export function databaseError(target: DatabaseTarget, error: unknown): unknown {
  if (error instanceof OpsError) return error;
  if (error instanceof pg.DatabaseError) {
    const detail = [error.message, error.detail, error.hint].filter(Boolean).join("; ");
    const details = {
      sqlstate: error.code,
      position: error.position,
      table: error.table,
      constraint: error.constraint,
    };
    if (error.code === "55P03") {
      return new OpsError("E_LOCK_TIMEOUT", `A lock in database ${target.name} was not granted in time`, {
        cause: error,
        details,
      });
    }
    if (error.code?.startsWith("08") === true || error.code?.startsWith("57P0") === true) {
      return new OpsError("E_CONNECTION_LOST", `Database ${target.name} ended the connection: ${detail}`, {
        details,
      });
    }
    const hint = opsRightsHint(error);
    return new OpsError("E_SQL", `Database ${target.name} refused a statement: ${detail}`, {
      details,
      ...(hint !== undefined && { hint }),
    });
  }
  if (
    error instanceof Error &&
    /^(ECONN|EPIPE|ETIMEDOUT)|Connection terminated|not queryable|Query read timeout/.test(
      `${"code" in error ? error.code : ""}${error.message}`,
    )
  ) {
    return new OpsError("E_CONNECTION_LOST", `The connection to database ${target.name} broke`, {
      cause: error,
    });
  }
  return error;
}

/** Ends a connection that is in the middle of a statement without leaving the statement running. */
async function cancelAndClose(client: pg.Client, config: pg.ClientConfig): Promise<void> {
  const pid = (client as unknown as { processID: number | null }).processID;
  const canceller = new pg.Client({ ...config, connectionTimeoutMillis: 2000 });
  canceller.on("error", () => undefined);
  try {
    await canceller.connect();
    await canceller.query("SELECT pg_cancel_backend($1)", [pid]);
  } catch {
    // The server is away: there is no statement left to cancel.
  } finally {
    await canceller.end().catch(() => undefined);
    await client.end().catch(() => undefined);
  }
}
