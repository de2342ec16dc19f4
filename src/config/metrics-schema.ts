import { z } from "zod";
import { OpsError } from "../core/errors.ts";
import { name, writtenDuration } from "../core/schema.ts";
import { parseHttpUrl } from "../http/client.ts";
import { isReference } from "./secret.ts";
import { secret } from "./secret-field.ts";

/** What counts the requests of a route where its balancer does not, or not well enough. */

const text = (what: string) => z.string().trim().min(1, "must not be empty").describe(what);

/** What a placeholder may be; everything else in double braces is a mistake. */
const placeholders = ["version", "name", "flag"];
const perVersion = (what: string) =>
  text(`${what}; {{version}} and {{name}} stand for the version and its name in this source`).superRefine(
    (value, context) => {
      for (const [whole, inside = ""] of value.matchAll(/\{\{\s*([^{}]*?)\s*\}\}/g)) {
        if (placeholders.includes(inside)) continue;
        context.addIssue({
          code: "custom",
          message: `${whole} stands for nothing`,
          params: { hint: "write {{version}} or {{name}}" },
        });
      }
    },
  );

const names = z
  .record(name("A version"), z.string().min(1, "must not be empty"))
  .default({})
  .describe("Version: its name in this source, where that is not the one that the balancer has for it");

const maxAge = (usual: string) =>
  writtenDuration("How old the newest figures may be; older ones are missing, not zero").default(usual);

/** How an HTTP server lets one in. */
export const httpEndpoint = {
  headers: z
    .record(z.string(), z.string())
    .default({})
    .describe("Request headers; a value may be a reference: env:NAME, file:PATH, Bearer env:NAME"),
  user: text("User for basic authentication").optional(),
  password: secret("Password for basic authentication").optional(),
  timeout: writtenDuration("How long one answer may take").default("5s"),
};

/** The URL of an HTTP server, or a reference to one. */
export const httpUrl = (value: string, context: z.RefinementCtx) => {
  if (isReference(value)) return;
  try {
    parseHttpUrl(value.replaceAll(/\{\{.*?\}\}/g, "x"));
  } catch (error) {
    if (!(error instanceof OpsError)) throw error;
    context.addIssue({ code: "custom", message: error.message, params: { hint: error.hint } });
  }
};

export const prometheusMetricsSchema = z
  .strictObject({
    source: z.literal("prometheus").describe("What counts the route's requests"),
    url: secret("URL of Prometheus, or what speaks its interface, before /api/v1").superRefine(httpUrl),
    ...httpEndpoint,
    requests: perVersion("PromQL: counters of a version's requests, not summed up"),
    "status-label": text("Label of these counters with the status: bad are those from 5").optional(),
    bad: z
      .array(perVersion("PromQL: counters of a version's bad requests"))
      .min(1, "needs at least one expression")
      .optional()
      .describe(
        "PromQL: counters of a version's bad requests, added up; beside status-label or instead of it",
      ),
    buckets: perVersion(
      "PromQL: a histogram's _bucket counters of a version, in seconds; needed for p95 limits",
    ).optional(),
    names,
    "max-age": maxAge("1m"),
  })
  .refine((each) => each["status-label"] !== undefined || each.bad !== undefined, {
    error: "does not say which requests are bad",
    params: { hint: 'add "status-label: code", or expressions under "bad:"' },
  });

export const jsonMetricsSchema = z.strictObject({
  source: z.literal("json"),
  url: secret(
    "URL of the counts; with {{version}} or {{name}} each version is asked for by itself",
  ).superRefine(httpUrl),
  ...httpEndpoint,
  requests: perVersion("JSONPath of the number of a version's requests since it started: $.green.requests"),
  bad: perVersion("JSONPath of the number of its bad requests"),
  at: perVersion("JSONPath of the time of the counts: seconds since 1970, or a date and time").optional(),
  names,
  "max-age": maxAge("1m"),
});

export const sqlMetricsSchema = z.strictObject({
  source: z.literal("sql"),
  database: name("The database; default: the only one, or main").optional(),
  query: text(
    "One statement that only reads, with a row for each version: version, requests and bad counted since whenever, perhaps at (the time of the newest one)",
  ),
  timeout: writtenDuration("How long the query may run").default("5s"),
  every: writtenDuration("How often it is asked at most").default("5s"),
  names,
  "max-age": maxAge("1m"),
});

export const logMetricsSchema = z
  .strictObject({
    source: z.literal("log"),
    file: text("The access log; it may be rotated, and need not be there yet"),
    format: z
      .enum(["haproxy", "combined", "json"])
      .describe(
        'haproxy: option httplog; combined: nginx\'s combined format, then $request_time "$upstream_addr" "$upstream_status"; json: one object a line',
      ),
    backend: text("HAProxy: only lines of this backend; default: the route's").optional(),
    fields: z
      .strictObject({
        version: text("Key that names the version, or the servers that were tried"),
        status: text("Key of the status"),
        time: text("Key of the time that the request took; needed for p95 limits").optional(),
        "upstream-status": text("Key of the status of every server that was tried").optional(),
      })
      .optional()
      .describe("json: the keys of a line"),
    "time-unit": z.enum(["s", "ms"]).default("s").describe("combined and json: the unit of the time"),
    names,
    "max-age": maxAge("30s"),
  })
  .refine(({ format, fields }) => (format === "json") === (fields !== undefined), {
    error: "has fields exactly where its format is json",
    params: {
      hint: 'write "fields: { version: upstream, status: status, time: request_time }" with "format: json"',
    },
  });

const anyMetricsSchema = z
  .discriminatedUnion("source", [
    prometheusMetricsSchema,
    jsonMetricsSchema,
    sqlMetricsSchema,
    logMetricsSchema,
  ])
  .describe("What counts the route's requests instead of its balancer (docs/metrics.md)");

export type MetricsSettings = z.output<typeof anyMetricsSchema>;

export const metricsSchema = anyMetricsSchema.superRefine((settings, context) => {
  const [, whole] = /(\{\{\s*flag\s*\}\})/.exec(JSON.stringify(settings)) ?? [];
  if (whole === undefined) return;
  context.addIssue({
    code: "custom",
    message: `${whole} stands for nothing`,
    params: { hint: "write {{version}} or {{name}}" },
  });
});

/** Requests of a flag, told apart by the variant that answered them. */
export const flagMetricsSchema = anyMetricsSchema
  .refine((settings) => settings.source !== "log" || settings.format === "json", {
    error: "a log tells variants only where each line is a JSON object",
    params: { hint: 'write "format: json" and "fields: { version: …, status: … }"' },
  })
  .describe(
    "What counts the requests of a flag by variant: {{flag}}, and {{version}} for the variant (docs/flags.md)",
  );
