import { startHttpServer, type TestHttpServer } from "./http-server.ts";

/** Data of AWS's query protocol: every scalar is a text. */
export type Node = string | Node[] | { [key: string]: Node };
export type Fields = { [key: string]: Node };

export interface TestElb extends TestHttpServer {
  /** By ARN, as AWS keeps them: also what `describe` never tells (an OpenID client's secret). */
  readonly rules: Map<string, Fields>;
  readonly listeners: Map<string, Fields>;
  /** Target group's ARN → the states of its targets. */
  readonly targets: Map<string, string[]>;
  /** Answers every call with this error, or only so many, until it is undefined again. */
  failure: { readonly status: number; readonly code: string; readonly calls?: number } | undefined;
  /** Calls that the credentials may not make. */
  readonly denied: Set<string>;
  /** Called once before the next change is made: what somebody else does in between. */
  beforeModify: (() => void) | undefined;
  /** The same, once after it. */
  afterModify: (() => void) | undefined;
  /** So many descriptions after a change still show what was before it. */
  lag: number;
  /** While it is true, connections break without an answer. */
  away: boolean;
  /** What was asked, in order: `DescribeRules`, `ModifyRule`. */
  asked(): string[];
}

const account = "eu-central-1:111122223333";
export const arns = {
  balancer: `arn:aws:elasticloadbalancing:${account}:loadbalancer/app/shop/50dc6c495c0c9188`,
  listener: `arn:aws:elasticloadbalancing:${account}:listener/app/shop/50dc6c495c0c9188/f2f7dc8efc522ab2`,
  rule: (id: string) =>
    `arn:aws:elasticloadbalancing:${account}:listener-rule/app/shop/50dc6c495c0c9188/f2f7dc8efc522ab2/${id}`,
  group: (name: string) => `arn:aws:elasticloadbalancing:${account}:targetgroup/${name}/6d0ecf831eec9f09`,
};

/** A rule that forwards to these groups, with stickiness. */
export function forwardRule(id: string, weights: Readonly<Record<string, number>>): Fields {
  return {
    RuleArn: arns.rule(id),
    Priority: "10",
    Conditions: [{ Field: "path-pattern", Values: ["/shop/*"] }],
    Actions: [forward(weights)],
    IsDefault: "false",
  };
}

export function forward(weights: Readonly<Record<string, number>>): Fields {
  return {
    Type: "forward",
    Order: "1",
    ForwardConfig: {
      TargetGroups: Object.entries(weights).map(([name, weight]) => ({
        TargetGroupArn: arns.group(name),
        Weight: String(weight),
      })),
      TargetGroupStickinessConfig: { Enabled: "true", DurationSeconds: "600" },
    },
  };
}

/** The weights of a forward action of the stub, by name of the group. */
export function weightsIn(holder: Fields | undefined): Record<string, number> {
  const actions = (holder?.Actions ?? holder?.DefaultActions ?? []) as Fields[];
  const config = actions.find((each) => each.Type === "forward")?.ForwardConfig as Fields | undefined;
  const groups = (config?.TargetGroups ?? []) as { TargetGroupArn: string; Weight: string }[];
  return Object.fromEntries(
    groups.map((each) => [each.TargetGroupArn.split("/")[1] ?? "", Number(each.Weight)]),
  );
}

/**
 * A stub of the part of Elastic Load Balancing's wire protocol that is used here (AWS query protocol with XML answers),
 * on loopback, with the real client and its signatures in front of it. The service cannot run outside AWS: this shows
 * what is sent and what becomes of the answers, not that AWS gives them. It balances nothing.
 */
export async function startElb(): Promise<TestElb> {
  const rules = new Map<string, Fields>();
  const listeners = new Map<string, Fields>();
  const targets = new Map<string, string[]>();
  const denied = new Set<string>();
  const before = new Map<string, Fields>();
  const state: Pick<TestElb, "failure" | "beforeModify" | "afterModify" | "lag" | "away"> = {
    failure: undefined,
    beforeModify: undefined,
    afterModify: undefined,
    lag: 0,
    away: false,
  };
  let stale = 0;

  const look = (kept: Map<string, Fields>, arn: string) => {
    const old = before.get(arn);
    if (old !== undefined && stale > 0) {
      stale -= 1;
      return told(old);
    }
    const found = kept.get(arn);
    return found === undefined ? undefined : told(found);
  };
  const change = (kept: Map<string, Fields>, arn: string, key: string, actions: Node | undefined) => {
    const meanwhile = state.beforeModify;
    state.beforeModify = undefined;
    meanwhile?.();
    const present = kept.get(arn);
    if (present === undefined) return undefined;
    if (actions === undefined) return told(present);
    const old = (present[key] ?? []) as Fields[];
    const changed = {
      ...present,
      [key]: (actions as Fields[]).map((each, index) => taken(each, old[index])),
    };
    before.set(arn, present);
    stale = state.lag;
    kept.set(arn, changed);
    const afterwards = state.afterModify;
    state.afterModify = undefined;
    afterwards?.();
    return told(changed);
  };

  const answers: Readonly<Record<string, (asked: Fields) => Fields | string>> = {
    DescribeRules: ({ RuleArns, ListenerArn }) => {
      if (ListenerArn !== undefined)
        return { Rules: [...rules.values()].filter((each) => belongs(each, `${ListenerArn}`)).map(told) };
      const found = look(rules, only(RuleArns));
      return found === undefined ? "RuleNotFound" : { Rules: [found] };
    },
    DescribeListeners: ({ ListenerArns, LoadBalancerArn }) => {
      if (LoadBalancerArn !== undefined) return { Listeners: [...listeners.values()].map(told) };
      const found = look(listeners, only(ListenerArns));
      return found === undefined ? "ListenerNotFound" : { Listeners: [found] };
    },
    DescribeTargetHealth: ({ TargetGroupArn }) => {
      const states = targets.get(`${TargetGroupArn}`);
      if (states === undefined) return "TargetGroupNotFound";
      return {
        TargetHealthDescriptions: states.map((each, index) => ({
          Target: { Id: `i-${index}`, Port: "80" },
          TargetHealth: { State: each, ...(each === "healthy" ? {} : { Reason: "Target.Timeout" }) },
        })),
      };
    },
    ModifyRule: ({ RuleArn, Actions }) => {
      const mistake = mistakeIn(Actions);
      if (mistake !== undefined) return mistake;
      const changed = change(rules, `${RuleArn}`, "Actions", Actions);
      return changed === undefined ? "RuleNotFound" : { Rules: [changed] };
    },
    ModifyListener: ({ ListenerArn, DefaultActions }) => {
      const mistake = mistakeIn(DefaultActions);
      if (mistake !== undefined) return mistake;
      const changed = change(listeners, `${ListenerArn}`, "DefaultActions", DefaultActions);
      return changed === undefined ? "ListenerNotFound" : { Listeners: [changed] };
    },
  };

  const server = await startHttpServer((request, response, body) => {
    if (state.away) return request.socket.destroy();
    const send = (status: number, xml: string) => {
      response.writeHead(status, { "content-type": "text/xml" });
      response.end(xml);
    };
    const refuse = (status: number, code: string, message = `${code} of the test`) =>
      send(
        status,
        `<ErrorResponse xmlns="${namespace}"><Error><Type>Sender</Type><Code>${code}</Code><Message>${message}</Message></Error><RequestId>r</RequestId></ErrorResponse>`,
      );
    const scope =
      /^AWS4-HMAC-SHA256 Credential=test-id\/\d{8}\/eu-central-1\/elasticloadbalancing\/aws4_request, /;
    if (!scope.test(request.headers.authorization ?? "")) return refuse(403, "MissingAuthenticationToken");
    if (state.failure !== undefined) {
      const { status, code, calls = Number.POSITIVE_INFINITY } = state.failure;
      state.failure = calls > 1 ? { status, code, calls: calls - 1 } : undefined;
      return refuse(status, code);
    }
    const { Action: action, ...asked } = parseForm(body);
    if (denied.has(`${action}`)) {
      const who = "User: arn:aws:iam::111122223333:user/deploy";
      const message = `${who} is not authorized to perform: elasticloadbalancing:${action}`;
      return refuse(403, "AccessDenied", message);
    }
    const answer = answers[`${action}`]?.(asked) ?? "InvalidAction";
    if (typeof answer === "string") return refuse(400, answer);
    send(
      200,
      `<${action}Response xmlns="${namespace}"><${action}Result>${xmlOf(answer)}</${action}Result></${action}Response>`,
    );
  });
  return Object.assign(state, server, {
    rules,
    listeners,
    targets,
    denied,
    asked: () => server.requests.map((each) => new URLSearchParams(each.body).get("Action") ?? ""),
  });
}

const namespace = "http://elasticloadbalancing.amazonaws.com/doc/2015-12-01/";

function only(list: Node | undefined): string {
  return Array.isArray(list) ? `${list[0]}` : "";
}

function belongs(rule: Fields, listener: string): boolean {
  return `${rule.RuleArn}`.startsWith(`${listener.replace(":listener/", ":listener-rule/")}/`);
}

/** What a change may not have, as AWS says it. */
function mistakeIn(actions: Node | undefined): string | undefined {
  for (const action of (actions ?? []) as Fields[]) {
    const groups = ((action.ForwardConfig as Fields | undefined)?.TargetGroups ?? []) as Fields[];
    if (groups.length > 1 && action.TargetGroupArn !== undefined) return "InvalidLoadBalancerAction";
    if (groups.some((each) => !(Number(each.Weight) >= 0 && Number(each.Weight) <= 999)))
      return "ValidationError";
    const oidc = action.AuthenticateOidcConfig as Fields | undefined;
    if (oidc !== undefined && oidc.ClientSecret === undefined && oidc.UseExistingClientSecret !== "true")
      return "InvalidLoadBalancerAction";
  }
  return undefined;
}

/** An action as it is kept: the secret that is to stay, stays. */
function taken(action: Fields, old: Fields | undefined): Fields {
  const oidc = action.AuthenticateOidcConfig as Fields | undefined;
  if (oidc === undefined || oidc.UseExistingClientSecret !== "true") return action;
  const { UseExistingClientSecret: _, ...config } = oidc;
  const secret = (old?.AuthenticateOidcConfig as Fields | undefined)?.ClientSecret ?? "";
  return { ...action, AuthenticateOidcConfig: { ...config, ClientSecret: secret } };
}

function told(kept: Fields): Fields {
  return JSON.parse(
    JSON.stringify(kept, (key, value) => (key === "ClientSecret" ? undefined : value)),
  ) as Fields;
}

/** `Actions.member.1.Type=forward` → `{ Actions: [{ Type: "forward" }] }`. */
function parseForm(body: string): Fields {
  const root: Fields = {};
  for (const [key, value] of new URLSearchParams(body)) {
    const path = key.split(".");
    let place: Fields = root;
    for (const part of path.slice(0, -1)) {
      place[part] ??= {};
      place = place[part] as Fields;
    }
    place[path.at(-1) ?? ""] = value;
  }
  return lists(root) as Fields;
}

function lists(node: Node): Node {
  if (typeof node === "string" || Array.isArray(node)) return node;
  if (Object.keys(node).length === 1 && typeof node.member === "object")
    return Object.values(node.member as Fields).map(lists);
  return Object.fromEntries(Object.entries(node).map(([key, value]) => [key, lists(value)]));
}

function xmlOf(node: Node): string {
  if (typeof node === "string") return node.replaceAll("&", "&amp;").replaceAll("<", "&lt;");
  if (Array.isArray(node)) return node.map((each) => `<member>${xmlOf(each)}</member>`).join("");
  return Object.entries(node)
    .map(([key, value]) => `<${key}>${xmlOf(value)}</${key}>`)
    .join("");
}
