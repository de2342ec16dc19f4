import { AlbClient } from "../../alb/client.ts";
import {
  type ForwardRule,
  readForwardRule,
  type WeightedGroup,
  withWeights,
  writeActions,
} from "../../alb/forward-rule.ts";
import { groupHealth } from "../../alb/target-health.ts";
import type { AlbRouteTarget } from "../../config/environment.ts";
import { systemClock } from "../../core/clock.ts";
import { OpsError, UsageError } from "../../core/errors.ts";
import { suggestion } from "../../core/suggestion.ts";
import type { VersionState } from "../../rollout/reading.ts";
import { sameWeights, type WeightScale, type Weights } from "../../rollout/shares.ts";
import { driftError } from "../drift.ts";
import type { TrafficDriver } from "../traffic-driver.ts";
import { Recent } from "./recent.ts";

export const albScale: WeightScale = { maximum: 999 };

/** Milliseconds that what AWS said is taken for what it says now, where a canary only watches. */
const [rulesKept, healthKept] = [1_000, 5_000] as const;
/** Milliseconds that a change may take to show in a description, and between two looks. */
const [patience, lookEvery] = [5_000, 250] as const;
/** Milliseconds that the tries of a few calls may need while AWS throttles them. */
const throttled = 60_000;
/** How often weights are written that somebody else changes at the same moment. */
const attempts = 3;

/**
 * Weighted target groups of an AWS Application Load Balancer. Its API has no compare-and-set: of the rule as it is
 * described, the weights of the versions are changed and the whole action is written back. What somebody else writes
 * between the two calls is lost; it is looked for in the description of afterwards.
 */
export function albDriver(route: AlbRouteTarget): TrafficDriver {
  const alb = new AlbClient(route);
  const versions = Object.entries(route.versions);
  const recentRule = new Recent(rulesKept, (signal) => readForwardRule(alb, signal));
  const recentHealth = new Map<string, Recent<Awaited<ReturnType<typeof groupHealth>>>>();

  function healthOf(arn: string, signal: AbortSignal | undefined) {
    let recent = recentHealth.get(arn);
    recent ??= new Recent(healthKept, (each) => groupHealth(alb, arn, each));
    recentHealth.set(arn, recent);
    return recent.get(signal);
  }

  const weightsIn = (rule: ForwardRule): Weights =>
    Object.fromEntries(
      versions.map(([version, group]) => [version, groupOf(route, rule, version, group).weight]),
    );

  async function weights(signal?: AbortSignal): Promise<Weights> {
    return weightsIn(await readForwardRule(alb, signal));
  }

  async function states(signal?: AbortSignal): Promise<VersionState[]> {
    const rule = await recentRule.get(signal);
    refuseStrangers(route, rule);
    return Promise.all(
      versions.map(async ([version, group]) => {
        const { arn, name, weight } = groupOf(route, rule, version, group);
        const { healthy, registered, text } = await healthOf(arn, signal);
        const health = healthy === 0 ? "down" : healthy < registered ? "failing" : "up";
        return { version, server: name, weight, health, status: text };
      }),
    );
  }

  async function setWeights(wanted: Weights, signal?: AbortSignal, expected?: Weights): Promise<void> {
    for (let attempt = 1; ; attempt += 1) {
      const rule = await readForwardRule(alb, signal);
      const present = weightsIn(rule);
      if (sameWeights(present, wanted)) return;
      if (expected !== undefined && !sameWeights(present, expected))
        throw driftError(route.name, present, [expected]);
      const byArn = new Map(
        versions.map(([version, group]) => [groupOf(route, rule, version, group).arn, wanted[version] ?? 0]),
      );
      await writeActions(alb, withWeights(rule.actions, byArn), signal);
      const after = await readBack(wanted, present, signal);
      recentRule.forget();
      if (sameWeights(after, wanted)) return;
      // Somebody wrote at the same time. Who gives traffic back must not stop at that.
      if (expected !== undefined || attempt === attempts)
        throw sameWeights(after, present)
          ? notSet(wanted, after)
          : driftError(route.name, after, [present, wanted]);
    }
  }

  /** A description may lag behind a change: the old weights are looked at again, for a while. */
  async function readBack(
    wanted: Weights,
    before: Weights,
    signal: AbortSignal | undefined,
  ): Promise<Weights> {
    const end = performance.now() + patience;
    for (;;) {
      const after = await weights(signal);
      if (!sameWeights(after, before) || sameWeights(after, wanted) || performance.now() >= end) return after;
      await systemClock.sleep(lookEvery, signal);
    }
  }

  const notSet = (wanted: Weights, after: Weights) =>
    new OpsError("E_WEIGHT_NOT_SET", `AWS took the weights of route ${route.name} and does not have them`, {
      hint: "see who else changes them: ops traffic status",
      details: { wanted, after },
    });

  return { scale: albScale, patience: throttled, states, weights, setWeights };
}

function groupOf(route: AlbRouteTarget, rule: ForwardRule, version: string, group: string): WeightedGroup {
  const found = rule.groups.find(({ arn, name }) => group === arn || group === name);
  if (found !== undefined) return found;
  const names = rule.groups.map(({ name }) => name);
  throw new UsageError(
    "E_ROUTE_SERVER",
    `The ${route.place.kind} of route ${route.name} does not forward to the target group "${group}" (${version})`,
    { hint: `${suggestion(group, names)}; a new one is added to its action with weight 0 first` },
  );
}

/** A target group with weight that no version names would take part of every share. */
function refuseStrangers(route: AlbRouteTarget, rule: ForwardRule): void {
  const known = new Set(Object.values(route.versions));
  const stranger = rule.groups.find(
    ({ arn, name, weight }) => weight > 0 && !known.has(arn) && !known.has(name),
  );
  if (stranger === undefined) return;
  throw new UsageError(
    "E_ROUTE_SERVER",
    `The target group ${stranger.name} takes traffic but is no version of the route ${route.name}`,
    { hint: 'add it under "versions:" of the route in .opsrc, or give it weight 0' },
  );
}
