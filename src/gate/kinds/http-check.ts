import { z } from "zod";
import { formatDuration } from "../../core/duration.ts";
import { OpsError } from "../../core/errors.ts";
import { duration } from "../../core/schema.ts";
import { parseHttpUrl, sendRequest, showUrl } from "../../http/client.ts";
import { revealHeaders } from "../../http/headers.ts";
import { formatExpectedStatus, isExpectedStatus, statusInput } from "../../http/status.ts";
import { defineCheck, type Measurement } from "../../run/check.ts";
import { judgeByLimits } from "../../run/limits.ts";

const usualStatus = [200, 399] as const;
/** A health endpoint's answer; what lies beyond is not searched for `body-contains`. */
const bodyLimit = 1_048_576;

/** `problem` is why the answer is a bad one, null where it is not. */
type HttpEvidence = {
  readonly url: string;
  readonly status: number | null;
  readonly problem: string | null;
};

/** Without an answer a user of the service would see the same failure, so these are measured facts. */
const measuredFailures = new Set(["E_HTTP_REFUSED", "E_HTTP_TIMEOUT", "E_HTTP_TLS", "E_HTTP_BROKEN"]);

/**
 * A refused or broken connection, a bad certificate and a timeout fail the check: the service was asked and is not
 * well. A host name that does not resolve leaves it unmeasured: that is a mistake in the gate as often as an outage.
 */
export const httpCheck = defineCheck({
  kind: "http",
  summary: "The status of an HTTP endpoint, and its latency where a limit is given",
  limitUnits: ["duration"],
  input: z.strictObject({
    url: z.string().superRefine(mustBeHttp).describe("The endpoint: https://host/health"),
    method: z.enum(["GET", "HEAD", "OPTIONS"]).default("GET").describe("Method of the request"),
    headers: z
      .record(z.string(), z.string())
      .default({})
      .describe("Request headers; a value may be a reference: env:NAME, file:PATH, Bearer env:NAME"),
    status: statusInput().optional(),
    "body-contains": z.string().min(1, "must not be empty").optional().describe("Text the body must hold"),
    timeout: duration("How long the whole answer may take").prefault("5s"),
  }),
  measure: async (context, input): Promise<Measurement> => {
    const url = showUrl(input.url);
    const evidence = (status: number | null, problem: string | null): HttpEvidence => ({
      url,
      status,
      problem,
    });
    try {
      const headers = await revealHeaders(input.headers, context.environment.directory);
      const { method, timeout } = input;
      const response = await sendRequest({
        method,
        url: input.url,
        headers,
        timeout,
        signal: context.signal,
        bodyLimit,
      });
      const expected = isExpectedStatus(response.status, input.status, usualStatus);
      const wanted = input["body-contains"];
      const problem = !expected
        ? `status ${response.status}, expected ${formatExpectedStatus(input.status, usualStatus)}`
        : wanted !== undefined && !response.body.includes(wanted)
          ? `HTTP ${response.status}, the body does not contain ${JSON.stringify(wanted)}`
          : null;
      return {
        value: response.durationMs,
        shown: `HTTP ${response.status} in ${formatDuration(response.durationMs)}`,
        evidence: evidence(response.status, problem),
        raw: response.body,
      };
    } catch (error) {
      if (!(error instanceof OpsError) || !measuredFailures.has(error.code)) throw error;
      return { value: null, shown: "no answer", evidence: evidence(null, error.message) };
    }
  },
  judge: ({ value, shown, evidence }, _input, limits) => {
    const { problem } = evidence as HttpEvidence;
    if (problem !== null || typeof value !== "number") return { status: "fail", reason: problem ?? shown };
    return judgeByLimits(value, shown, limits);
  },
});

function mustBeHttp(text: string, context: z.RefinementCtx): void {
  try {
    parseHttpUrl(text);
  } catch (error) {
    if (!(error instanceof OpsError)) throw error;
    context.addIssue({ code: "custom", message: error.message, params: { hint: error.hint } });
  }
}
