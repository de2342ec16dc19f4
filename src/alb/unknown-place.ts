import { OpsError, UsageError } from "../core/errors.ts";
import { nearest } from "../core/suggestion.ts";
import type { AlbClient } from "./client.ts";

/**
 * The usage error (`E_ROUTE_RULE`) for a rule or a listener that AWS does not have, with what the listener or the load
 * balancer has instead. What there is, is asked as a help only: where that fails, the error says how to look.
 */
export async function unknownPlace(alb: AlbClient, signal: AbortSignal | undefined): Promise<UsageError> {
  const { place, name } = alb.target;
  const candidates = await (place.kind === "rule" ? rulesOf(alb, signal) : listenersOf(alb, signal)).catch(
    (error: unknown) => {
      if (error instanceof OpsError) return [];
      throw error;
    },
  );
  const key = place.kind === "rule" ? "listener-rule" : "listener";
  const look =
    place.kind === "rule"
      ? "aws elbv2 describe-rules --listener-arn …"
      : "aws elbv2 describe-listeners --load-balancer-arn …";
  return new UsageError("E_ROUTE_RULE", `AWS has no ${place.kind} ${place.arn}`, {
    hint:
      candidates.length === 0
        ? `correct "${key}:" of "routes: ${name}:" in .opsrc; see what there is: ${look}`
        : `correct "${key}:" of "routes: ${name}:" in .opsrc: ${suggested(place.arn, candidates)}`,
  });
}

interface Candidate {
  readonly arn: string;
  /** What it is for: `priority 10, /api/*`. */
  readonly about: string;
}

function suggested(arn: string, candidates: readonly Candidate[]): string {
  const near = nearest(
    arn,
    candidates.map((each) => each.arn),
  );
  if (near !== undefined) return `did you mean ${near}?`;
  return `one of: ${candidates.map((each) => `${each.arn} (${each.about})`).join(", ")}`;
}

async function rulesOf(alb: AlbClient, signal: AbortSignal | undefined): Promise<Candidate[]> {
  const [, partition, rest] =
    /^(arn:[^:]+:elasticloadbalancing:[^:]+:[^:]+):listener-rule\/(.+)\/[^/]+$/.exec(alb.target.place.arn) ??
    [];
  if (rest === undefined) return [];
  const found = await alb.call(
    "DescribeRules",
    (client, sdk, options) =>
      client.send(new sdk.DescribeRulesCommand({ ListenerArn: `${partition}:listener/${rest}` }), options),
    signal,
  );
  return (found.Rules ?? [])
    .filter((rule) => rule.IsDefault !== true)
    .map((rule) => ({
      arn: rule.RuleArn ?? "",
      about: [
        `priority ${rule.Priority ?? ""}`,
        ...(rule.Conditions ?? []).flatMap((each) => each.Values ?? []),
      ].join(", "),
    }));
}

async function listenersOf(alb: AlbClient, signal: AbortSignal | undefined): Promise<Candidate[]> {
  const [, partition, rest] =
    /^(arn:[^:]+:elasticloadbalancing:[^:]+:[^:]+):listener\/(.+)\/[^/]+$/.exec(alb.target.place.arn) ?? [];
  if (rest === undefined) return [];
  const found = await alb.call(
    "DescribeListeners",
    (client, sdk, options) =>
      client.send(
        new sdk.DescribeListenersCommand({ LoadBalancerArn: `${partition}:loadbalancer/${rest}` }),
        options,
      ),
    signal,
  );
  return (found.Listeners ?? []).map((each) => ({
    arn: each.ListenerArn ?? "",
    about: `${each.Protocol ?? ""} ${each.Port ?? ""}`,
  }));
}
