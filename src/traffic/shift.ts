import { z } from "zod";
import { OpsError } from "../core/errors.ts";
import { formatPercent } from "../core/percent.ts";
import { duration, name, percentage } from "../core/schema.ts";
import {
  formatShares,
  sameWeights,
  sharesOf,
  type WeightScale,
  type Weights,
  weightsForShare,
} from "../rollout/shares.ts";
import type { OperationContext } from "../run/context.ts";
import { defineOperation } from "../run/operation.ts";
import { earlierIsOver, forgetEarlier } from "./canary-guard.ts";
import { refuseDrift } from "./drift.ts";
import { openRoute, type Route, requireVersion } from "./route.ts";
import { confirmShare, requestsSeen } from "./share-confirmation.ts";

const input = z.strictObject({
  route: name("The route; default: the only one, or the one called web").optional(),
  to: name("The version that gets the share"),
  share: percentage("Its share of the traffic; the others keep their proportion").prefault("100%"),
  confirm: duration("How long to watch for requests that confirm the share; 0s: do not watch").prefault(
    "10s",
  ),
});

const output = z.object({
  route: z.string(),
  version: z.string(),
  share: z.number().describe("Percent, as the weights give it"),
  weights: z.record(z.string(), z.number()),
  confirmed: z.boolean().describe("Whether enough requests were seen to split as intended"),
  observed: z.object({ requests: z.number(), share: z.number().nullable() }),
});

/** What `observe` of every change to a route saw. */
export type RouteBefore = { route: string; weights: Weights; scale: WeightScale };

export const shift = defineOperation({
  name: "traffic.shift",
  summary: "Give a version a share of the traffic at once",
  example: "traffic shift green --share 10%",
  effect: "change",
  input,
  positional: ["to"],
  output,
  targets: ({ route }, environment) => [`route:${environment.route(route).name}`],
  async observe(context, { route, to }): Promise<RouteBefore> {
    return observeRoute(openRoute(context.environment, route), to, context.signal);
  },
  plan(before, { to, share }) {
    const wanted = weightsForShare(before.weights, to, share, before.scale);
    if (sameWeights(before.weights, wanted)) return [];
    return [
      {
        target: `route:${before.route}`,
        action: "update",
        summary: `give ${to} ${formatPercent(share)} of the traffic`,
        from: sharesOf(before.weights),
        to: sharesOf(wanted),
      },
    ];
  },
  async apply(context, { route: routeName, to, share, confirm }, before, report) {
    const route = openRoute(context.environment, routeName);
    const wanted = weightsForShare(before.weights, to, share, before.scale);
    await earlierIsOver(context, before.route);
    const present = await route.driver.weights(context.signal);
    refuseDrift(before.route, present, [before.weights, wanted]);
    if (share > 0) await requireUp(route, to, context.signal);
    await route.driver.setWeights(wanted, context.signal, present);
    await forgetEarlier(context, before.route);
    report.progress({ message: `${formatShares(wanted)}; watching requests` });
    const seen = await confirmShare(context, route, to, wanted, confirm, report);
    return {
      route: before.route,
      version: to,
      share: sharesOf(wanted)[to] ?? 0,
      weights: wanted,
      confirmed: seen.verdict === "agrees",
      observed: { requests: seen.requests, share: seen.share === undefined ? null : 100 * seen.share },
    };
  },
  undo: (context, { route }, before) =>
    restoreWeights(context, openRoute(context.environment, route), before),
  render({ route, version, weights, confirmed, observed: { requests, share } }) {
    const seen = confirmed
      ? `confirmed by ${requests} requests`
      : `not confirmed: ${requestsSeen(version, { requests, ...(share !== null && { share: share / 100 }) })}`;
    return `route ${route}: ${formatShares(weights)} (${seen})`;
  },
});

export async function observeRoute(route: Route, to: string, signal: AbortSignal): Promise<RouteBefore> {
  requireVersion(route.target, to);
  await route.driver.requireSettable?.(signal);
  const states = await route.driver.states(signal);
  return {
    route: route.target.name,
    weights: Object.fromEntries(states.map(({ version, weight }) => [version, weight])),
    scale: route.driver.scale,
  };
}

export async function requireUp(route: Route, version: string, signal: AbortSignal): Promise<void> {
  const found = (await route.driver.states(signal)).find((each) => each.version === version);
  if (found?.health !== "down") return;
  throw new OpsError("E_VERSION_DOWN", `${version} is ${found.status} and gets no traffic`, {
    hint: `bring ${found.server} up first: ops traffic status --route ${route.target.name}`,
  });
}

/** Back to the weights that `observe` saw, whatever they are now. */
export async function restoreWeights(context: OperationContext, route: Route, before: RouteBefore) {
  await route.driver.setWeights(before.weights, context.signal);
  return { undone: true as const, note: `route ${before.route}: ${formatShares(before.weights)}` };
}
