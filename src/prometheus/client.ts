import { z } from "zod";
import type { Secret } from "../config/secret.ts";
import { OpsError } from "../core/errors.ts";
import { redact, rememberSecret } from "../core/redaction.ts";
import { type HttpResponse, sendRequest, showUrl } from "../http/client.ts";
import { revealHeaders } from "../http/headers.ts";
import { singleValue, type ValueOutcome, type VectorOutcome } from "./outcome.ts";

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

export interface QueryOptions {
  readonly signal?: AbortSignal | undefined;
}

/** Bytes of one answer. Ten thousand series are some two million. */
const bodyLimit = 8_388_608;

/**
 * An instant query: all series of an expression as they are now (HTTP API v1; a scalar is a series without labels).
 * Throws the signal's reason only; whatever else goes wrong is an outcome.
 */
export async function queryVector(
  server: PrometheusServer,
  expression: string,
  options: QueryOptions = {},
): Promise<VectorOutcome> {
  const { signal } = options;
  try {
    const base = (await server.url.reveal()).replace(/\/+$/, "");
    const body = new URLSearchParams({ query: expression });
    const response = await sendRequest({
      method: "POST",
      url: `${base}/api/v1/query`,
      headers: {
        ...(await basicAuthentication(server)),
        ...(await revealHeaders(server.headers, server.directory)),
        "content-type": "application/x-www-form-urlencoded",
        accept: "application/json",
      },
      body: body.toString(),
      timeout: server.timeout,
      signal,
      bodyLimit,
    });
    return understood(base, expression, response);
  } catch (error) {
    if (signal?.aborted === true || !(error instanceof OpsError)) throw error;
    return { kind: "error", error };
  }
}

/** An instant query for one number. Throws like `queryVector`. */
export async function queryValue(
  server: PrometheusServer,
  expression: string,
  options: QueryOptions = {},
): Promise<ValueOutcome> {
  return singleValue(expression, await queryVector(server, expression, options));
}

async function basicAuthentication({ user, password }: PrometheusServer): Promise<Record<string, string>> {
  if (user === undefined) return {};
  const pair = Buffer.from(`${user}:${(await password?.reveal()) ?? ""}`).toString("base64");
  rememberSecret(pair);
  return { authorization: `Basic ${pair}` };
}

/** A value is text, since JSON has no NaN: `"NaN"`, `"+Inf"`, `"12"`. */
const point = z.tuple([z.number(), z.string().transform(parseValue)]);
const success = z.object({
  status: z.literal("success"),
  warnings: z.array(z.string()).default([]),
  data: z.discriminatedUnion("resultType", [
    z.object({
      resultType: z.literal("vector"),
      result: z.array(z.object({ metric: z.record(z.string(), z.string()), value: point })),
    }),
    z.object({ resultType: z.literal("scalar"), result: point }),
  ]),
});
const other = z.object({ status: z.literal("success"), data: z.object({ resultType: z.string() }) });
const failed = z.object({ status: z.literal("error"), errorType: z.string(), error: z.string() });

function understood(base: string, expression: string, response: HttpResponse): VectorOutcome {
  const json = response.cut ? undefined : parseJson(response.body);
  const found = success.safeParse(json);
  if (!found.success) throw refused(base, expression, response, json);
  const { data } = found.data;
  const warnings = found.data.warnings.map(redact);
  if (data.resultType === "scalar") {
    return { kind: "samples", samples: [{ labels: {}, value: data.result[1] }], warnings };
  }
  if (data.result.length === 0) return { kind: "empty", warnings };
  const samples = data.result.map(({ metric, value: [, value] }) => ({ labels: metric, value }));
  return { kind: "samples", samples, warnings };
}

function parseValue(text: string, context: z.RefinementCtx): number {
  if (text === "NaN") return Number.NaN;
  const infinite = /^([+-]?)Inf$/.exec(text);
  if (infinite !== null) return infinite[1] === "-" ? Number.NEGATIVE_INFINITY : Number.POSITIVE_INFINITY;
  const value = text.trim() === "" ? Number.NaN : Number(text);
  if (!Number.isNaN(value)) return value;
  context.addIssue({ code: "custom", message: "is no value of Prometheus" });
  return z.NEVER;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** What the server, or something in front of it, said instead of an answer. */
function refused(base: string, expression: string, response: HttpResponse, json: unknown): OpsError {
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
