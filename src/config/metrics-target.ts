import { resolve } from "node:path";
import { type Duration, parseDuration } from "../core/duration.ts";
import { UsageError } from "../core/errors.ts";
import type { DatabaseTarget } from "./environment.ts";
import type { MetricsSettings } from "./metrics-schema.ts";
import { Secret } from "./secret.ts";

/** A version as a source of figures knows it. */
export interface NamedVersion {
  readonly version: string;
  readonly name: string;
  /** Of a variant: its flag. */
  readonly flag?: string;
}

interface AnyMetricsTarget {
  /** What is counted: `route web`. */
  readonly counted: string;
  /** Where it stands in the configuration: `routes: web:`. */
  readonly setting: string;
  /** Every version of the route, or variant of the flag. */
  readonly versions: readonly NamedVersion[];
  /** Milliseconds after which figures are missing. */
  readonly maxAge: Duration;
}

/** An HTTP server and how to be let in. */
export interface Endpoint {
  readonly url: Secret;
  readonly headers: Readonly<Record<string, string>>;
  readonly user: string | undefined;
  readonly password: Secret | undefined;
  /** Milliseconds for one answer. */
  readonly timeout: Duration;
  /** What relative paths of secrets begin at. */
  readonly directory: string;
}

type EndpointSettings = Pick<
  Extract<MetricsSettings, { source: "json" }>,
  "url" | "headers" | "user" | "password" | "timeout"
>;

/** Texts may hold `{{version}}` and `{{name}}`; of a flag also `{{flag}}`. */
export interface PrometheusMetrics extends AnyMetricsTarget {
  readonly source: "prometheus";
  readonly server: Endpoint;
  readonly requests: string;
  readonly statusLabel: string | undefined;
  readonly bad: readonly string[];
  readonly buckets: string | undefined;
}

export interface JsonMetrics extends AnyMetricsTarget {
  readonly source: "json";
  readonly endpoint: Endpoint;
  readonly requests: string;
  readonly bad: string;
  readonly at: string | undefined;
}

export interface SqlMetrics extends AnyMetricsTarget {
  readonly source: "sql";
  readonly database: DatabaseTarget;
  readonly query: string;
  readonly timeout: Duration;
  /** Milliseconds between two queries. */
  readonly every: Duration;
}

export interface LogMetrics extends AnyMetricsTarget {
  readonly source: "log";
  /** Absolute path. */
  readonly file: string;
  readonly format:
    | { readonly kind: "haproxy"; readonly backend: string | undefined }
    | { readonly kind: "combined"; readonly unit: "s" | "ms" }
    | {
        readonly kind: "json";
        readonly unit: "s" | "ms";
        readonly version: string;
        readonly status: string;
        readonly time: string | undefined;
        readonly upstreamStatus: string | undefined;
      };
}

/** What counts the requests of a route instead of its balancer, or those of a flag by variant. */
export type MetricsTarget = PrometheusMetrics | JsonMetrics | SqlMetrics | LogMetrics;

/** What is counted, as far as its figures are concerned. */
export interface CountedPlace {
  /** A route, or a flag of a source. */
  readonly kind: "route" | "flag";
  readonly name: string;
  /** Where it stands in the configuration: `routes: web:`. */
  readonly setting: string;
  /** Version → what the balancer calls it; of a flag, its variants. */
  readonly versions: Readonly<Record<string, string>>;
  /** HAProxy's backend; undefined for other balancers. */
  readonly backend: string | undefined;
  /** Of the configuration file: relative paths start there. */
  readonly directory: string;
  database(name: string | undefined): DatabaseTarget;
}

/** Throws `E_VERSION` where `names` has a version that the route does not. */
export function metricsTarget(settings: MetricsSettings, place: CountedPlace): MetricsTarget {
  const { kind, name: route, directory } = place;
  const stranger = Object.keys(settings.names).find((each) => !Object.hasOwn(place.versions, each));
  // A source has many flags, each with variants of its own.
  if (stranger !== undefined && kind === "route") {
    throw new UsageError(
      "E_VERSION",
      `"metrics: names:" of route ${route} has a version "${stranger}" that the route has not`,
      {
        hint: `the route's versions are ${Object.keys(place.versions).join(", ")}`,
      },
    );
  }
  const common = {
    counted: `${kind} ${place.name}`,
    setting: place.setting,
    versions: Object.entries(place.versions).map(([version, known]) => ({
      version,
      name: settings.names[version] ?? known,
      ...(kind === "flag" && { flag: place.name }),
    })),
    maxAge: parseDuration(settings["max-age"]),
  };
  switch (settings.source) {
    case "prometheus":
      return {
        ...common,
        source: "prometheus",
        server: endpoint(settings, directory),
        requests: settings.requests,
        statusLabel: settings["status-label"],
        bad: settings.bad ?? [],
        buckets: settings.buckets,
      };
    case "json":
      return {
        ...common,
        source: "json",
        endpoint: endpoint(settings, directory),
        requests: settings.requests,
        bad: settings.bad,
        at: settings.at,
      };
    case "sql":
      return {
        ...common,
        source: "sql",
        database: place.database(settings.database),
        query: kind === "flag" ? forFlag(settings.query, place.name) : settings.query,
        timeout: parseDuration(settings.timeout),
        every: parseDuration(settings.every),
      };
    case "log":
      return {
        ...common,
        source: "log",
        file: resolve(directory, settings.file),
        format: logFormat(settings, place),
      };
  }
}

export function endpoint(settings: EndpointSettings, directory: string): Endpoint {
  const { url, headers, user, password, timeout } = settings;
  return {
    url: new Secret(url, directory),
    headers,
    user,
    password: password === undefined ? undefined : new Secret(password, directory),
    timeout: parseDuration(timeout),
    directory,
  };
}

function logFormat(
  { format, backend, fields, "time-unit": unit }: Extract<MetricsSettings, { source: "log" }>,
  place: CountedPlace,
): LogMetrics["format"] {
  if (format === "haproxy") return { kind: "haproxy", backend: backend ?? place.backend };
  if (fields === undefined) return { kind: "combined", unit };
  const { status, time, "upstream-status": upstreamStatus } = fields;
  const version = place.kind === "flag" ? forFlag(fields.version, place.name) : fields.version;
  return { kind: "json", unit, version, status, time, upstreamStatus };
}

/** A flag's name has letters, digits and dashes: it can stand in any text. */
function forFlag(text: string, flag: string): string {
  return text.replaceAll(/\{\{\s*flag\s*\}\}/g, flag);
}
