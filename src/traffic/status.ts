import { z } from "zod";
import { columns } from "../core/columns.ts";
import { formatPercent } from "../core/percent.ts";
import { name } from "../core/schema.ts";
import { defineOperation } from "../run/operation.ts";
import { badRequests } from "./counters.ts";
import { openRoute } from "./route.ts";
import { sharesOf } from "./shares.ts";

const input = z.strictObject({
  route: name("The route; default: the only one, or the one called web").optional(),
});

const output = z.object({
  route: z.string(),
  versions: z.array(
    z.object({
      version: z.string(),
      server: z.string(),
      weight: z.number(),
      share: z.number().describe("Percent of the traffic"),
      health: z.enum(["up", "failing", "down"]),
      status: z.string().describe("As the balancer calls it"),
      requests: z.number().describe("Since the balancer started, like all counts here"),
      bad: z.number().describe("5xx, connection and response errors, retries and redispatches"),
      serverErrors: z.number(),
      connectionErrors: z.number(),
      responseErrors: z.number(),
      retries: z.number(),
      redispatches: z.number(),
      failedChecks: z.number(),
      meanResponse: z.number().nullable().describe("Milliseconds, over about the last 1024 requests"),
    }),
  ),
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
    const { target, driver } = openRoute(context.environment, route);
    const reading = await driver.read(context.signal);
    const shares = sharesOf(Object.fromEntries(reading.map((each) => [each.version, each.weight])));
    return {
      route: target.name,
      versions: reading.map(({ counters, meanResponse, ...each }) => ({
        ...each,
        share: shares[each.version] ?? 0,
        ...counters,
        bad: badRequests(counters),
        meanResponse: meanResponse ?? null,
      })),
    };
  },
  render({ route, versions }) {
    const header = ["version", "share", "weight", "status", "requests", "bad", "5xx", "mean"];
    const rows = versions.map((each) => [
      each.version,
      formatPercent(each.share),
      String(each.weight),
      each.status,
      String(each.requests),
      String(each.bad),
      String(each.serverErrors),
      each.meanResponse === null ? "-" : `${each.meanResponse} ms`,
    ]);
    return [`route ${route}`, ...columns([header, ...rows], new Set([1, 2, 4, 5, 6, 7]))].join("\n");
  },
});
