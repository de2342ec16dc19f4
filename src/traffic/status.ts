import { z } from "zod";
import { columns } from "../core/columns.ts";
import { OpsError } from "../core/errors.ts";
import { formatPercent } from "../core/percent.ts";
import { name } from "../core/schema.ts";
import { badRequests } from "../request-source/counters.ts";
import type { VersionCounts } from "../request-source/request-source.ts";
import { sharesOf } from "../rollout/shares.ts";
import { underWay, underWayLine, underWayOf } from "../rollout/under-way.ts";
import { defineOperation } from "../run/operation.ts";
import { CanaryFiles } from "./canary-record.ts";
import { openRoute, type Route } from "./route.ts";

const input = z.strictObject({
  route: name("The route; default: the only one, or the one called web").optional(),
});

const count = z.number().nullable();

const output = z.object({
  route: z.string(),
  versions: z.array(
    z.object({
      version: z.string(),
      server: z.string(),
      weight: z.number(),
      share: z.number().describe("Percent of the traffic"),
      health: z.enum(["up", "failing", "down", "unknown"]).describe("unknown: the balancer does not tell"),
      status: z.string().describe("As the balancer calls it"),
      requests: count.describe(
        "Since the balancer started, like all counts here; null, like they, where nothing counts them",
      ),
      bad: count.describe("5xx, connection and response errors, retries and redispatches"),
      serverErrors: count,
      connectionErrors: count,
      responseErrors: count,
      retries: count,
      redispatches: count,
      failedChecks: count,
      meanResponse: z.number().nullable().describe("Milliseconds, over about the last 1024 requests"),
      inFlight: count.describe("Requests at the version, or waiting for it, now"),
    }),
  ),
  canary: underWay.nullable().describe("The canary that has traffic, as far as this machine knows"),
  mirror: z
    .object({ version: z.string(), share: z.number(), methods: z.array(z.string()) })
    .nullable()
    .describe("Who gets copies of requests (percent); null: nobody"),
  uncounted: z.string().nullable().describe("Why there are no counts; null: there are"),
});

export const status = defineOperation({
  name: "traffic.status",
  summary: "Show how a route splits its traffic, and the health of each version",
  example: "traffic status --route web",
  effect: "read",
  input,
  output,
  observe: async () => null,
  plan: () => [],
  async apply(context, { route }) {
    const opened = openRoute(context.environment, route);
    const states = await opened.driver.states(context.signal);
    const shares = sharesOf(Object.fromEntries(states.map((each) => [each.version, each.weight])));
    const { counts, why } = await countsOf(opened, context.signal);
    const record = await new CanaryFiles(context, opened.target.name).read();
    return {
      route: opened.target.name,
      canary: record === undefined ? null : underWayOf(record),
      versions: states.map((state) => ({
        ...state,
        inFlight: state.inFlight ?? null,
        share: shares[state.version] ?? 0,
        ...shownCounts(counts.find(({ version }) => version === state.version)),
      })),
      mirror: (await opened.driver.mirror?.read(context.signal)) ?? null,
      uncounted: why,
    };
  },
  render({ route, canary, versions, mirror, uncounted }) {
    const header = ["version", "share", "weight", "status", "requests", "bad", "5xx", "mean"];
    const rows = versions.map((each) => [
      each.version,
      formatPercent(each.share),
      String(each.weight),
      each.status,
      String(each.requests ?? "-"),
      String(each.bad ?? "-"),
      String(each.serverErrors ?? "-"),
      each.meanResponse === null ? "-" : `${each.meanResponse} ms`,
    ]);
    return [
      `route ${route}`,
      ...columns([header, ...rows], new Set([1, 2, 4, 5, 6, 7])),
      ...(mirror === null
        ? []
        : [
            `${mirror.version} gets copies of ${formatPercent(mirror.share)} of the requests (${mirror.methods.join(", ")})`,
          ]),
      ...(uncounted === null ? [] : [`no counts: ${uncounted}`]),
      ...(canary === null
        ? []
        : [`canary of ${canary.version} by ${canary.actor}: ${underWayLine(canary, "ops traffic", route)}`]),
    ].join("\n");
  },
});

/** The weights are worth showing also where what counts is away. */
async function countsOf(
  { target, requests }: Route,
  signal: AbortSignal,
): Promise<{ readonly counts: readonly VersionCounts[]; readonly why: string | null }> {
  if (requests === undefined) {
    return {
      counts: [],
      why: `the driver ${target.driver} only sets weights, and the route has no "metrics:"`,
    };
  }
  try {
    const counts = await requests.read(signal);
    if (requests.begins === "at-first-look")
      return { counts: [], why: "a log counts from the first look on" };
    return { counts, why: null };
  } catch (error) {
    if (!(error instanceof OpsError)) throw error;
    return { counts: [], why: error.message };
  } finally {
    await requests.close?.();
  }
}

function shownCounts(counts: VersionCounts | undefined) {
  const { counters, meanResponse } = counts ?? {};
  return {
    requests: counters?.requests ?? null,
    bad: counters === undefined ? null : badRequests(counters),
    serverErrors: counters?.serverErrors ?? null,
    connectionErrors: counters?.connectionErrors ?? null,
    responseErrors: counters?.responseErrors ?? null,
    retries: counters?.retries ?? null,
    redispatches: counters?.redispatches ?? null,
    failedChecks: counters?.failedChecks ?? null,
    meanResponse: meanResponse ?? null,
  };
}
