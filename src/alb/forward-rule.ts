import type { Action, TargetGroupTuple } from "@aws-sdk/client-elastic-load-balancing-v2";
import { UsageError } from "../core/errors.ts";
import type { AlbClient } from "./client.ts";
import { codeOf, notTheApi } from "./failure.ts";
import { unknownPlace } from "./unknown-place.ts";

/** A target group of a forward action. */
export interface WeightedGroup {
  readonly arn: string;
  readonly name: string;
  /** 0 to 999. */
  readonly weight: number;
}

/** What a rule (or a listener by default) does with a request; the last of its actions forwards it. */
export interface ForwardRule {
  readonly actions: readonly Action[];
  readonly groups: readonly WeightedGroup[];
}

/**
 * The rule as AWS has it now. Throws `E_ROUTE_RULE` (usage) where there is no such rule or listener (naming what there
 * is), or it forwards nothing, and the errors of `AlbClient.call`.
 */
export async function readForwardRule(alb: AlbClient, signal?: AbortSignal): Promise<ForwardRule> {
  const { place, name } = alb.target;
  const actions = await (place.kind === "rule" ? rule(alb, signal) : listener(alb, signal));
  const groups = forwardOf(actions)?.ForwardConfig?.TargetGroups ?? [];
  if (groups.length === 0) {
    const does = actions.map((each) => each.Type).join(", then ") || "nothing";
    throw new UsageError("E_ROUTE_RULE", `The ${place.kind} of route ${name} forwards to no target group`, {
      cause: `it does: ${does}`,
      hint: `name another "listener-rule:" or "listener:" of "routes: ${name}:" in .opsrc: ${place.arn} is meant now`,
    });
  }
  return { actions, groups: groups.map(weightedGroup) };
}

/** Replaces the actions and nothing else of the rule: its conditions and its priority are not sent. */
export async function writeActions(
  alb: AlbClient,
  actions: readonly Action[],
  signal?: AbortSignal,
): Promise<void> {
  const { kind, arn } = alb.target.place;
  if (kind === "rule") {
    await alb.call(
      "ModifyRule",
      (client, sdk, options) =>
        client.send(new sdk.ModifyRuleCommand({ RuleArn: arn, Actions: [...actions] }), options),
      signal,
    );
  } else {
    await alb.call(
      "ModifyListener",
      (client, sdk, options) =>
        client.send(
          new sdk.ModifyListenerCommand({ ListenerArn: arn, DefaultActions: [...actions] }),
          options,
        ),
      signal,
    );
  }
}

/** The same actions with these weights, by ARN of the target group; groups that are not named keep theirs. */
export function withWeights(actions: readonly Action[], weights: ReadonlyMap<string, number>): Action[] {
  return actions.map((action) => {
    if (action.Type === "authenticate-oidc") return keepingSecret(action);
    if (action.Type !== "forward" || action.ForwardConfig === undefined) return action;
    // Beside several groups the short form that names one is refused.
    const { TargetGroupArn: _, ...rest } = action;
    const groups = action.ForwardConfig.TargetGroups ?? [];
    const changed = groups.map((group) => ({
      ...group,
      Weight: weights.get(group.TargetGroupArn ?? "") ?? weightedGroup(group).weight,
    }));
    return { ...rest, ForwardConfig: { ...action.ForwardConfig, TargetGroups: changed } };
  });
}

/** AWS never tells the secret of an OpenID client; sent back without this, the action is refused for the lack of it. */
function keepingSecret(action: Action): Action {
  const { AuthenticateOidcConfig: config } = action;
  if (config === undefined || config.ClientSecret !== undefined) return action;
  return { ...action, AuthenticateOidcConfig: { ...config, UseExistingClientSecret: true } };
}

function forwardOf(actions: readonly Action[]): Action | undefined {
  return actions.find((action) => action.Type === "forward");
}

function weightedGroup({ TargetGroupArn: arn = "", Weight }: TargetGroupTuple): WeightedGroup {
  // AWS leaves the weight out only where nobody gave one, and then counts 1.
  return { arn, name: groupName(arn), weight: Weight ?? 1 };
}

/** `arn:…:targetgroup/web-blue/0123456789abcdef` → `web-blue`. */
export function groupName(arn: string): string {
  return /:targetgroup\/([^/]+)\//.exec(arn)?.[1] ?? arn;
}

async function rule(alb: AlbClient, signal: AbortSignal | undefined): Promise<readonly Action[]> {
  const { arn } = alb.target.place;
  const found = await alb.call(
    "DescribeRules",
    (client, sdk, options) =>
      client.send(new sdk.DescribeRulesCommand({ RuleArns: [arn] }), options).catch((error: unknown) => {
        if (isUnknown(error)) return undefined;
        throw error;
      }),
    signal,
  );
  if (found !== undefined && found.Rules === undefined) throw notTheApi(alb.target, "it tells of no rules");
  const present = found?.Rules?.[0];
  if (present === undefined) throw await unknownPlace(alb, signal);
  if (present.IsDefault === true) {
    throw new UsageError(
      "E_ROUTE_RULE",
      `${arn} is its listener's default rule, which only the listener can change`,
      {
        hint: `write "listener:" with the ARN of the listener instead of "listener-rule:" under "routes: ${alb.target.name}:" in .opsrc`,
      },
    );
  }
  return present.Actions ?? [];
}

async function listener(alb: AlbClient, signal: AbortSignal | undefined): Promise<readonly Action[]> {
  const { arn } = alb.target.place;
  const found = await alb.call(
    "DescribeListeners",
    (client, sdk, options) =>
      client
        .send(new sdk.DescribeListenersCommand({ ListenerArns: [arn] }), options)
        .catch((error: unknown) => {
          if (isUnknown(error)) return undefined;
          throw error;
        }),
    signal,
  );
  if (found !== undefined && found.Listeners === undefined)
    throw notTheApi(alb.target, "it tells of no listeners");
  const present = found?.Listeners?.[0];
  if (present === undefined) throw await unknownPlace(alb, signal);
  return present.DefaultActions ?? [];
}

/** AWS has several words for an ARN of nothing, one of them for an ARN that could never be one. */
function isUnknown(error: unknown): boolean {
  return /^(RuleNotFound|ListenerNotFound|LoadBalancerNotFound|ValidationError)/.test(codeOf(error));
}
