import { z } from "zod";
import type { Environment } from "../config/environment.ts";
import { isReference, Secret } from "../config/secret.ts";
import { referencedSecret } from "../config/secret-field.ts";
import { OpsError, UsageError } from "../core/errors.ts";
import { duration, name } from "../core/schema.ts";
import { parseHttpUrl } from "../http/client.ts";
import type { PrometheusServer } from "../prometheus/request.ts";

/** How a check says which Prometheus is asked: that of a route's `metrics:`, or one by its URL. */
export const prometheusPlace = {
  route: name(
    "The route whose metrics are in that Prometheus; default: the only route with such metrics",
  ).optional(),
  url: z
    .string()
    .superRefine(mustBeHttp)
    .describe("Instead: what comes before /api/v1 (text, or a reference: env:NAME)")
    .optional(),
  headers: z
    .record(z.string(), z.string())
    .describe("With url: request headers; a value may be a reference: env:NAME, Bearer env:NAME")
    .optional(),
  user: z.string().min(1, "must not be empty").describe("With url: for basic authentication").optional(),
  password: referencedSecret("With url: for basic authentication").optional(),
  timeout: duration("How long an answer may take").prefault("10s"),
};

type Place = z.output<z.ZodObject<typeof prometheusPlace>>;

/** Throws `E_TARGET` (usage) where no route, or more than one, says which Prometheus is meant. */
export function prometheusServer(environment: Environment, place: Place): PrometheusServer {
  const { directory } = environment;
  const { url, headers = {}, user, password, timeout } = place;
  if (url !== undefined) {
    return {
      url: new Secret(url, directory),
      headers,
      user,
      password: password === undefined ? undefined : new Secret(password, directory),
      timeout,
      directory,
    };
  }
  const names = place.route === undefined ? environment.names("routes") : [place.route];
  const found = names.flatMap((each) => {
    const { metrics } = environment.route(each);
    return metrics?.source === "prometheus" ? [{ route: each, server: metrics.server }] : [];
  });
  const [first, second] = found;
  if (first !== undefined && second === undefined) return { ...first.server, timeout };
  const message =
    second === undefined
      ? place.route === undefined
        ? "No route has its metrics in Prometheus"
        : `The metrics of route ${place.route} are not in Prometheus`
      : `Several routes have their metrics in Prometheus: ${found.map((each) => each.route).join(", ")}`;
  throw new UsageError("E_TARGET", message, {
    hint: 'name one under "route:" of the check, or a server under "url:"',
  });
}

function mustBeHttp(text: string, context: z.RefinementCtx): void {
  if (isReference(text)) return;
  try {
    parseHttpUrl(text);
  } catch (error) {
    if (!(error instanceof OpsError)) throw error;
    context.addIssue({ code: "custom", message: error.message, params: { hint: error.hint } });
  }
}
