import { z } from "zod";
import { formatDuration } from "../../core/duration.ts";
import { OpsError } from "../../core/errors.ts";
import { duration } from "../../core/schema.ts";
import { parseHttpUrl, showUrl } from "../../http/client.ts";
import { statusInput } from "../../http/status.ts";
import { requireJsonPath } from "../../json-http/path.ts";
import { type CheckLimits, defineCheck, type Judgement, type Measurement } from "../../run/check.ts";
import type { OperationContext } from "../../run/context.ts";
import { hasLimits, judgeByLimits } from "../../run/limits.ts";
import { pause } from "../../run/pause.ts";
import { certificateFacts, shownName } from "../../tls/certificate.ts";
import { peerCertificates } from "../../tls/peer-certificate.ts";
import { type Attempt, attemptRequest } from "../http-attempt.ts";

const input = z
  .strictObject({
    url: z.string().superRefine(mustBeHttp).describe("The endpoint: https://host/health"),
    method: z.enum(["GET", "HEAD", "OPTIONS"]).default("GET").describe("Method of the request"),
    headers: z
      .record(z.string(), z.string())
      .default({})
      .describe("Request headers; a value may be a reference: env:NAME, file:PATH, Bearer env:NAME"),
    status: statusInput().optional(),
    redirect: z
      .enum(["pass", "fail"])
      .default("pass")
      .describe("What an answer counts as that sends one elsewhere (3xx); none is followed"),
    "body-contains": z.string().min(1, "must not be empty").optional().describe("Text the body must hold"),
    "json-path": z
      .string()
      .superRefine(mustBeJsonPath)
      .describe("JSONPath (RFC 9535) into the body: a number for the limits, or what equals asks for")
      .optional(),
    equals: z
      .union([z.string(), z.number(), z.boolean(), z.null()])
      .describe("What must be there, and everywhere that the JSONPath finds; then limits are for the latency")
      .optional(),
    measurements: z.number().int().min(1).max(20).default(1).describe("Requests whose latency is measured"),
    latency: z.enum(["median", "max"]).default("median").describe("Which latency of several counts"),
    retries: z.number().int().min(0).max(10).default(0).describe("Requests again after a bad answer, in all"),
    pause: duration("Between two requests").prefault("1s"),
    "tls-expires-in": duration("How long the server's certificates must still hold").optional(),
    timeout: duration("How long each whole answer may take").prefault("5s"),
  })
  .superRefine((value, context) => {
    const mistake = (key: string, message: string) =>
      context.addIssue({ code: "custom", path: [key], message });
    if (value.equals !== undefined && value["json-path"] === undefined)
      mistake("equals", 'needs "json-path:", where to look for it');
    if (value["json-path"] !== undefined && value.method !== "GET")
      mistake("json-path", "needs a body, which only GET has");
    if (value["tls-expires-in"] !== undefined && value.url.startsWith("http:"))
      mistake("tls-expires-in", "needs a URL of https");
  });

type Input = z.output<typeof input>;

type HttpEvidence = {
  url: string;
  /** Of the newest request; null: there was no answer. */
  status: number | null;
  /** Why the last answer is a bad one, null where it is not. */
  problem: string | null;
  /** All requests, in their order. */
  attempts: Omit<Attempt, "bytes" | "cut">[];
  /** Present where the digest is not of the whole body. */
  digestOf?: "the first MiB of the body";
  /** What the JSONPath finds in the newest answer. */
  found?: Attempt["found"];
  /** The certificate that expires first. */
  certificate?: { subject: string; issuer: string; notAfter: string; sha256: string; left: number };
};

/** True where the limits are for a number in the body and not for the latency. */
const isBodyNumber = (each: Input) => each["json-path"] !== undefined && each.equals === undefined;

/**
 * A refused or broken connection, a bad certificate and a timeout fail the check: the service was asked and is not
 * well. A host name that does not resolve leaves it unmeasured: that is a mistake in the gate as often as an outage.
 */
export const httpCheck = defineCheck({
  kind: "http",
  summary: "The status of an HTTP endpoint, its latency, a value in its JSON, how long its certificate holds",
  why: "What this request does not get, users do not get either.",
  remedy:
    "Ask the endpoint by hand and look at the service's log; a retry in the gate hides only what is short.",
  limitUnits: (each) => (isBodyNumber(each) ? ["number", "percent", "bytes"] : ["duration"]),
  input,
  // Each request, the pauses between them, and a handshake.
  patience: ({ timeout, pause, measurements, retries }) =>
    (measurements + retries) * (timeout + pause) + timeout,
  async measure(context, settings): Promise<Measurement> {
    const attempts = await attemptsOf(context, settings);
    const last = attempts.at(-1);
    const good = attempts.filter((each) => each.problem === null);
    const expiring = last?.problem === null ? await firstToExpire(context, settings) : undefined;
    const evidence: HttpEvidence = {
      url: showUrl(settings.url),
      status: last?.status ?? null,
      problem: last?.problem ?? null,
      attempts: attempts.map(({ bytes: _, cut: __, ...each }) => each),
      ...(last?.cut === true && { digestOf: "the first MiB of the body" as const }),
      ...(last?.found !== undefined && { found: last.found }),
      ...(expiring !== undefined && { certificate: expiring }),
    };
    const raw = last?.bytes === undefined ? {} : { raw: last.bytes };
    if (last === undefined || last.problem !== null || last.status === null)
      return {
        value: null,
        shown: last?.status == null ? "no answer" : `HTTP ${last.status}`,
        evidence,
        ...raw,
      };
    const latency = latencyOf(good, settings.latency);
    const bad = attempts.length - good.length;
    const several = good.length > 1 ? ` (${settings.latency} of ${good.length})` : "";
    const answered = `HTTP ${last.status} in ${formatDuration(latency)}${several}${bad > 0 ? `, after ${bad} bad` : ""}`;
    if (!isBodyNumber(settings)) return { value: latency, shown: answered, evidence, ...raw };
    const found = last.found ?? null;
    const value = typeof found === "number" || typeof found === "boolean" ? found : null;
    return { value, shown: `${settings["json-path"]} is ${JSON.stringify(found)}`, evidence, ...raw };
  },
  judge: ({ value, shown, evidence }, settings, limits) => {
    const { problem, certificate } = evidence as HttpEvidence;
    if (problem !== null) return { status: "fail", reason: problem };
    const needed = settings["tls-expires-in"];
    if (certificate !== undefined && needed !== undefined && certificate.left < needed) {
      const left = certificate.left > 0 ? `expires in ${formatDuration(certificate.left)}` : "has expired";
      return { status: "fail", reason: `${certificate.subject} ${left}, needed ${formatDuration(needed)}` };
    }
    return judgeValue({ value, shown }, settings, limits);
  },
});

function judgeValue({ value, shown }: Measurement, settings: Input, limits: CheckLimits): Judgement {
  if (typeof value === "boolean") {
    if (hasLimits(limits)) return { status: "unknown", reason: `a limit needs a number, and ${shown}` };
    return { status: value ? "pass" : "fail", reason: shown };
  }
  if (typeof value !== "number") return { status: "unknown", reason: `${shown}, which is no number` };
  // A latency is good without a limit too, once there is an answer.
  if (!hasLimits(limits) && isBodyNumber(settings))
    return { status: "unknown", reason: `${shown} and no limit says what is good: add "fail:" or "equals:"` };
  return judgeByLimits(value, shown, limits);
}

/** Ends with the first bad answer that no retry is left for. */
async function attemptsOf(context: OperationContext, settings: Input): Promise<Attempt[]> {
  const attempts: Attempt[] = [];
  let { measurements, retries } = settings;
  for (;;) {
    const attempt = await attemptRequest(context, settings);
    attempts.push(attempt);
    if (attempt.problem === null) measurements -= 1;
    else if (retries > 0) retries -= 1;
    else return attempts;
    if (measurements === 0) return attempts;
    await pause(context, settings.pause);
  }
}

function latencyOf(attempts: readonly Attempt[], which: "median" | "max"): number {
  const sorted = attempts.map((each) => each.durationMs).sort((a, b) => a - b);
  const [low = 0, high = 0] = [sorted.at((sorted.length - 1) >> 1), sorted.at(sorted.length >> 1)];
  return which === "max" ? (sorted.at(-1) ?? 0) : Math.round((low + high) / 2);
}

/** The request has shown already that it is trusted and for this host. */
async function firstToExpire(
  context: OperationContext,
  settings: Input,
): Promise<HttpEvidence["certificate"] | undefined> {
  if (settings["tls-expires-in"] === undefined) return undefined;
  const { hostname, port } = parseHttpUrl(settings.url);
  const host = hostname.replace(/^\[|\]$/g, "");
  const { timeout } = settings;
  const { certificates } = await peerCertificates({
    host,
    port: port === "" ? 443 : Number(port),
    name: host,
    starttls: undefined,
    authorities: [],
    timeout,
    signal: context.signal,
  });
  const [first] = certificates.map(certificateFacts).sort((a, b) => a.notAfter.localeCompare(b.notAfter));
  if (first === undefined) return undefined;
  const { issuer, notAfter, sha256 } = first;
  const left = Date.parse(notAfter) - context.clock.now().getTime();
  return { subject: shownName(first), issuer, notAfter, sha256, left };
}

function mustBeHttp(text: string, context: z.RefinementCtx): void {
  refine(context, () => parseHttpUrl(text));
}

function mustBeJsonPath(text: string, context: z.RefinementCtx): void {
  refine(context, () => requireJsonPath(text));
}

function refine(context: z.RefinementCtx, parse: () => unknown): void {
  try {
    parse();
  } catch (error) {
    if (!(error instanceof OpsError)) throw error;
    context.addIssue({ code: "custom", message: error.message, params: { hint: error.hint } });
  }
}
