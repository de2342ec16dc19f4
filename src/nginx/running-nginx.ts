import { causeText, OpsError } from "../core/errors.ts";
import { redact } from "../core/redaction.ts";
import { type HttpResponse, sendRequest } from "../http/client.ts";
import { requireProgram } from "../process/find-program.ts";
import { runProgram } from "../process/run-program.ts";
import { markerPath, parseMarker, type RouteMarker } from "./route-file.ts";

/** Milliseconds for one answer of the status server, and for one of nginx's own commands. */
const [answerLimit, commandLimit] = [3000, 20_000];

/**
 * What the running nginx has loaded of a route. Throws `E_NGINX_UNREACHABLE` where nothing answers, `E_NGINX_STATUS`
 * where something else does.
 *
 * @param status `host:port` of the server in the route's owned file
 */
export async function loadedMarker(
  status: string,
  route: string,
  signal?: AbortSignal | undefined,
): Promise<RouteMarker> {
  const url = `http://${status}${markerPath(route)}`;
  const { status: code, body } = await ask(url, route, signal);
  const found = code === 200 ? parseMarker(body) : undefined;
  if (found?.route === route) return found;
  throw new OpsError(
    "E_NGINX_STATUS",
    `${url} does not tell what nginx has loaded of the route ${route}: status ${code}`,
    {
      hint: "include the route's file in the http block of nginx.conf, then reload nginx (docs/balancers.md)",
      details: { url, status: code },
      retryable: false,
    },
  );
}

async function ask(url: string, route: string, signal: AbortSignal | undefined): Promise<HttpResponse> {
  try {
    return await sendRequest({
      method: "GET",
      url,
      timeout: answerLimit,
      signal,
      // A connection that is kept could stay with a worker of before a reload.
      headers: { connection: "close" },
    });
  } catch (error) {
    if (!(error instanceof OpsError) || signal?.aborted === true) throw error;
    throw new OpsError("E_NGINX_UNREACHABLE", `Cannot ask nginx at ${url} about the route ${route}`, {
      cause: causeText(error),
      hint: "start nginx, include the route's file in it, or correct the route's \"status\" in .opsrc",
    });
  }
}

/** How nginx is told something; programs without a path are searched in PATH. */
export interface NginxCommands {
  readonly test: readonly string[];
  readonly reload: readonly string[];
  /** Absolute path of the folder they run in. */
  readonly directory: string;
}

/** Throws `E_NGINX_REFUSED` with nginx's own words where its configuration as it is on disk is not valid. */
export async function testConfiguration(
  { test: command, directory }: NginxCommands,
  signal: AbortSignal,
): Promise<void> {
  const words = await run(command, directory, signal);
  if (words === undefined) return;
  throw new OpsError("E_NGINX_REFUSED", `nginx does not accept its configuration: ${words}`, {
    hint: `see all it says: ${command.join(" ")}`,
    retryable: false,
  });
}

/** Asks nginx to load its configuration anew; it does so later, or not at all: ask for the marker. */
export async function reload(
  { reload: command, directory }: NginxCommands,
  signal: AbortSignal,
): Promise<void> {
  const words = await run(command, directory, signal);
  if (words === undefined) return;
  throw new OpsError("E_NGINX_RELOAD", `nginx was not reloaded: ${words}`, {
    hint: `see why: ${command.join(" ")}`,
  });
}

/** Undefined where it went well. */
async function run(
  command: readonly string[],
  directory: string,
  signal: AbortSignal,
): Promise<string | undefined> {
  const [name = "", ...args] = command;
  const program = await requireProgram(name, directory);
  const limit = AbortSignal.any([signal, AbortSignal.timeout(commandLimit)]);
  const { exitCode, stderr, stdout } = await runProgram(program, args, { cwd: directory, signal: limit });
  if (exitCode === 0) return undefined;
  const lines = `${stderr}\n${stdout}`.split("\n").filter((line) => line.trim() !== "");
  const telling = lines.find((line) => /\[(emerg|error|alert|crit)\]/.test(line)) ?? lines[0];
  return redact(telling?.trim() ?? `exit code ${exitCode}`);
}
