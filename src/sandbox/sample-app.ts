import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { setTimeout as delay } from "node:timers/promises";
import pg from "pg";
import { SampleFlags } from "./sample-flags.ts";

/*
 * The sample application: a process of its own. VERSION, PORT and DATABASE_URL come from the environment.
 *
 *   GET  /         {version, orders, sessionPooling}; `?user=` says who asks, otherwise everybody is somebody new
 *   GET  /health   200 where the database answers
 *   GET  /control  the faults that it was told to have; POST sets them: {failRate: 0–1, latencyMs}
 */

type Faults = { failRate: number; latencyMs: number };

/** A database error that means "the connection ended": the database was dropped and made again, or restarted. */
const connectionEnded = /^(57P0|08)/;

const version = Number(process.env.VERSION ?? "1");
const port = Number(process.env.PORT);
const faults: Faults = { failRate: 0, latencyMs: 0 };
let served = 0;

const pool = new pg.Pool({
  connectionString: process.env.DATABASE_URL,
  max: 4,
  connectionTimeoutMillis: 2000,
  query_timeout: 5000,
  application_name: `sample-app-v${version}`,
});
// An idle connection that ends (its database was dropped) leaves the pool by itself; the next query opens a new one.
pool.on("error", (error) => log(`idle connection ended: ${error.message}`));
const flags = new SampleFlags((sql) => query(sql).then(({ rows }) => rows));

const server = createServer((request, response) => {
  answer(request, response).catch((error: unknown) => {
    const message = error instanceof Error ? error.message : String(error);
    log(`${request.method} ${request.url}: ${message}`);
    if (!response.headersSent) send(response, 500, { version, error: message });
  });
});
// The balancer ends the connections that it keeps: one that ends at this side may meet a request on its way, which the
// balancer has to send again and counts as this version's failure.
server.keepAliveTimeout = 0;
server.listen(port, "127.0.0.1", () => log(`version ${version} listens on 127.0.0.1:${port}`));
server.on("error", (error) => {
  log(error.message);
  process.exitCode = 1;
  void pool.end();
});

// Requests in flight are answered; connections that only wait are closed.
process.once("SIGTERM", () => {
  server.close(() => void pool.end());
  server.closeIdleConnections();
});

async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const url = new URL(request.url ?? "/", "http://localhost");
  switch (`${request.method} ${url.pathname}`) {
    case "GET /":
      return send(response, ...(await home(url)));
    case "GET /health":
      await query("SELECT 1");
      return send(response, 200, { version, healthy: true });
    case "GET /control":
      return send(response, 200, faults);
    case "POST /control":
      return control(request, response);
    default:
      return send(response, 404, { version, error: "not found" });
  }
}

async function home(url: URL): Promise<[number, object]> {
  if (faults.latencyMs > 0) await delay(faults.latencyMs);
  if (Math.random() < faults.failRate) return [500, { version, error: "told to fail" }];
  served += 1;
  const user = url.searchParams.get("user") ?? `visitor-${served}`;
  const [orders, sessionPooling] = await Promise.all([
    ordersOf(version),
    flags.isOn("session-pooling", user),
  ]);
  return [200, { version, ...orders, sessionPooling }];
}

/** Version 2 reads what migrations 0002 and 0003 add: without them it fails, as a real new version would. */
async function ordersOf(version: number): Promise<object> {
  if (version < 2) return row("SELECT count(*)::int AS orders FROM orders");
  return row(`SELECT count(*)::int AS orders,
                     count(*) FILTER (WHERE status = 'placed')::int AS open,
                     (SELECT count(*)::int FROM sessions) AS sessions
              FROM orders`);
}

async function row(sql: string, values: unknown[] = []): Promise<Record<string, unknown>> {
  const { rows } = await query(sql, values);
  return rows[0] ?? {};
}

/** Reads only, so a query whose connection ended is asked once more on a new one. */
async function query(sql: string, values: unknown[] = []): Promise<pg.QueryResult<Record<string, unknown>>> {
  try {
    return await pool.query(sql, values);
  } catch (error) {
    const ended =
      error instanceof pg.DatabaseError
        ? connectionEnded.test(error.code ?? "")
        : error instanceof Error && error.message.includes("Connection terminated");
    if (!ended) throw error;
    return pool.query(sql, values);
  }
}

async function control(request: IncomingMessage, response: ServerResponse): Promise<void> {
  let text = "";
  for await (const chunk of request.setEncoding("utf8")) text += String(chunk);
  const wanted = parsedFaults(text);
  if (wanted === undefined) {
    return send(response, 400, {
      error: 'write {"failRate": 0 to 1, "latencyMs": 0 or more}; either may be left out',
    });
  }
  Object.assign(faults, wanted);
  log(`told: ${JSON.stringify(faults)}`);
  send(response, 200, faults);
}

function parsedFaults(text: string): Partial<Faults> | undefined {
  let wanted: unknown;
  try {
    wanted = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (wanted === null || typeof wanted !== "object" || Array.isArray(wanted)) return undefined;
  const limits: Record<string, number> = { failRate: 1, latencyMs: 60_000 };
  const valid = Object.entries(wanted).every(
    ([key, value]) => typeof value === "number" && value >= 0 && value <= (limits[key] ?? -1),
  );
  return valid ? wanted : undefined;
}

function send(response: ServerResponse, status: number, body: object): void {
  response.writeHead(status, { "content-type": "application/json", "cache-control": "no-store" });
  response.end(`${JSON.stringify(body)}\n`);
}

function log(line: string): void {
  process.stdout.write(`${new Date().toISOString()} ${line}\n`);
}
