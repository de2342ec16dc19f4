import { z } from "zod";
import type { Secret } from "../config/secret.ts";
import { OpsError } from "../core/errors.ts";
import { redact, rememberSecret } from "../core/redaction.ts";
import { type HttpResponse, sendRequest, showUrl } from "../http/client.ts";
import { revealHeaders } from "../http/headers.ts";

/** Where Prometheus, or what speaks its HTTP interface (Thanos, Mimir, VictoriaMetrics), answers. */
export interface PrometheusServer {
  /** What comes before `/api/v1`. */
  readonly url: Secret;
  /** A value may be a reference, also after an authentication scheme: `Bearer env:TOKEN`. */
  readonly headers: Readonly<Record<string, string>>;
  /** For basic authentication; undefined: none, or the one in the URL. */
  readonly user: string | undefined;
  readonly password: Secret | undefined;
  /** Milliseconds for one answer. */
  readonly timeout: number;
  /** What relative paths of secrets begin at. */
  readonly directory: string;
}

/** Bytes of one answer. Ten thousand series are some two million. */
const bodyLimit = 8_388_608;

/** What an answer is told by: where it came from, and what was asked. */
export interface PrometheusAnswer {
  /** What comes before `/api/v1`. */
  readonly base: string;
  /** For errors: the expression, or what else was asked for. */
  readonly asked: string;
  readonly response: HttpResponse;
  /** Undefined where it is no JSON, or too long. */
  readonly json: unknown;
}

/**
 * One question of the HTTP API v1, as a form. Throws like `sendRequest`, and `E_SECRET`.
 *
 * @param path `query`, `alerts`; without parameters it is a GET
 */
export async function askPrometheus(
  server: PrometheusServer,
  question: {
    readonly path: string;
    readonly asked: string;
    readonly parameters?: Readonly<Record<string, string>>;
  },
  signal: AbortSignal | undefined,
): Promise<PrometheusAnswer> {
  const base = (await server.url.reveal()).replace(/\/+$/, "");
  const { path, asked, parameters } = question;
  const response = await sendRequest({
    method: parameters === undefined ? "GET" : "POST",
    url: `${base}/api/v1/${path}`,
    headers: {
      ...(await basicAuthentication(server)),
      ...(await revealHeaders(server.headers, server.directory)),
      ...(parameters !== undefined && { "content-type": "application/x-www-form-urlencoded" }),
      accept: "application/json",
    },
    ...(parameters !== undefined && { body: new URLSearchParams(parameters).toString() }),
    timeout: server.timeout,
    signal,
    bodyLimit,
  });
  return { base, asked, response, json: response.cut ? undefined : parseJson(response.body) };
}

async function basicAuthentication({ user, password }: PrometheusServer): Promise<Record<string, string>> {
  if (user === undefined) return {};
  const pair = Buffer.from(`${user}:${(await password?.reveal()) ?? ""}`).toString("base64");
  rememberSecret(pair);
  return { authorization: `Basic ${pair}` };
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

const other = z.object({ status: z.literal("success"), data: z.object({ resultType: z.string() }) });
const failed = z.object({ status: z.literal("error"), errorType: z.string(), error: z.string() });

/** What the server, or something in front of it, said instead of an answer. */
export function refusal({ base, asked: expression, response, json }: PrometheusAnswer): OpsError {
  const { status, body, cut } = response;
  const where = showUrl(base);
  const short = expression.length > 200 ? `${expression.slice(0, 200)}…` : expression;
  if (cut) {
    return new OpsError("E_PROMETHEUS_ANSWER", `The answer of Prometheus at ${where} is larger than 8 MiB`, {
      hint: `let the expression give fewer series: ${expression}`,
      retryable: false,
    });
  }
  const said = failed.safeParse(json);
  if (said.success) {
    const { errorType, error } = said.data;
    if (errorType === "bad_data" || errorType === "execution") {
      return new OpsError("E_PROMETHEUS_QUERY", `Prometheus refuses "${short}": ${redact(error)}`, {
        hint: "try the expression on Prometheus's own page, or with promtool query instant",
        details: { expression, errorType },
        retryable: false,
      });
    }
    return new OpsError(
      "E_PROMETHEUS_UNAVAILABLE",
      `Prometheus at ${where} cannot answer now (${errorType}): ${redact(error)}`,
      { details: { expression, errorType } },
    );
  }
  if (status === 401 || status === 403) {
    return new OpsError("E_PROMETHEUS_ACCESS", `${where} lets nobody in with these credentials (${status})`, {
      hint: 'set "user:" and "password:", or headers: { authorization: Bearer env:NAME }, of the metrics in .opsrc',
      retryable: false,
    });
  }
  if (status >= 500) {
    return new OpsError("E_PROMETHEUS_UNAVAILABLE", `Prometheus at ${where} answers with status ${status}`);
  }
  const kind = other.safeParse(json);
  if (kind.success) {
    const { resultType } = kind.data.data;
    return new OpsError(
      "E_PROMETHEUS_QUERY",
      `"${expression}" gives a ${resultType}, and an instant vector or a scalar is needed`,
      {
        hint: resultType === "matrix" ? 'take the range ("[5m]") away, or a rate of it' : "ask for numbers",
        retryable: false,
      },
    );
  }
  return new OpsError(
    "E_PROMETHEUS_ANSWER",
    `What answers at ${where} is not Prometheus (status ${status})`,
    {
      cause: redact(body.replace(/\s+/g, " ").slice(0, 120)),
      hint: 'set "url:" to what comes before /api/v1, without a log-in page in front of it',
      retryable: false,
    },
  );
}
