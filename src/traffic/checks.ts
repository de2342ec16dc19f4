import { z } from "zod";
import { formatPercent } from "../core/percent.ts";
import { name, percentage } from "../core/schema.ts";
import { formatShares, sharesOf } from "../rollout/shares.ts";
import { type Check, defineCheck } from "../run/check.ts";
import { judgeByLimits } from "../run/limits.ts";
import { openRoute, requireVersion } from "./route.ts";
import { routeCheck } from "./route-check.ts";

/** Rounding of whole weights. */
const tolerance = 0.01;

const trafficVersion = defineCheck({
  kind: "traffic-version",
  summary: "Share of a route's traffic that a version has, as the balancer's weights give it",
  limitUnits: ["percent"],
  input: z.strictObject({
    route: name("The route; default: the only one, or the one called web").optional(),
    version: name("The version"),
    share: percentage("The share it must have; a limit of the gate goes before it").prefault("100%"),
  }),

  async measure(context, input) {
    const { target, driver } = openRoute(context.environment, input.route);
    requireVersion(target, input.version);
    const weights = await driver.weights(context.signal);
    const share = sharesOf(weights)[input.version] ?? 0;
    return {
      value: share,
      shown: `${formatPercent(share)} of route ${target.name}`,
      evidence: { route: target.name, weights: { ...weights }, shares: formatShares(weights) },
    };
  },

  judge({ value, shown }, { version, share }, limits) {
    const has = `version ${version} has ${shown}`;
    if (typeof value !== "number")
      return { status: "unknown", reason: `the share of ${version} is not known` };
    if (limits.fail === undefined && value < share - tolerance) {
      return { status: "fail", reason: `${has}, and needs ${formatPercent(share)}` };
    }
    return judgeByLimits(value, has, limits);
  },
});

export const checks: readonly Check[] = [trafficVersion, routeCheck];
