import { z } from "zod";
import { OpsError, UsageError } from "../core/errors.ts";
import { suggestion } from "../core/suggestion.ts";
import type { KubernetesApi } from "../kubernetes/api-client.ts";
import type { Refusal } from "../kubernetes/failure.ts";
import { type Acceptance, acceptance, parentRefSchema, parentStatusSchema } from "./acceptance.ts";
import { chooseRule } from "./rule.ts";

/** An HTTPRoute of which one rule splits the traffic. */
export interface HttpRouteTarget {
  /** The route's name in .opsrc, for messages. */
  readonly name: string;
  readonly httpRoute: string;
  /** Undefined: the one of the context, or `default`. */
  readonly namespace: string | undefined;
  /** Its name, or its place from 0; undefined: the only rule that has all versions. */
  readonly rule: string | number | undefined;
  /** Version → name of its Service. */
  readonly versions: Readonly<Record<string, string>>;
}

/** Loose everywhere: what is read is sent back as a test, whole. */
const backendRefSchema = z.looseObject({
  name: z.string(),
  namespace: z.string().optional(),
  kind: z.string().optional(),
  /** From 0 to 1,000,000; the API server writes the default, 1, into every object. */
  weight: z.number().int().min(0).optional(),
});

const ruleSchema = z.looseObject({
  name: z.string().optional(),
  backendRefs: z.array(backendRefSchema).default([]),
});

const httpRouteSchema = z.looseObject({
  metadata: z.looseObject({
    name: z.string(),
    namespace: z.string(),
    uid: z.string(),
    generation: z.number(),
  }),
  spec: z.looseObject({
    parentRefs: z.array(parentRefSchema).default([]),
    rules: z.array(ruleSchema).default([]),
  }),
  status: z.looseObject({ parents: z.array(parentStatusSchema).default([]) }).default({ parents: [] }),
});

export type BackendRef = z.output<typeof backendRefSchema>;
export type Rule = z.output<typeof ruleSchema>;

/** One look at the HTTPRoute. */
export interface HttpRouteReading {
  readonly namespace: string;
  readonly uid: string;
  /** Counts the changes of the spec; the controller's status says which of them it means. */
  readonly generation: number;
  /** The rule's place in the spec. */
  readonly rule: number;
  /** Of the rule, as they stand there. */
  readonly backendRefs: readonly BackendRef[];
  readonly acceptance: Acceptance;
}

const group = "apis/gateway.networking.k8s.io/v1";

/**
 * Throws `E_ROUTE_RULE` or `E_ROUTE_SERVER` (usage) where there is no such HTTPRoute, rule or backend, naming what there
 * is, and the errors of `KubernetesApi.request`.
 */
export async function readHttpRoute(
  api: KubernetesApi,
  target: HttpRouteTarget,
  signal?: AbortSignal,
): Promise<HttpRouteReading> {
  const path = await pathOf(api, target);
  const permission = `get httproutes.gateway.networking.k8s.io in the namespace ${path.namespace}`;
  const answer = await api.request(
    { method: "GET", path: path.object, permission },
    { expected: [404], signal },
  );
  if (!answer.ok) throw await unknownHttpRoute(api, target, path, answer.refusal, signal);
  return reading(target, answer.body);
}

/**
 * Changes the weights of these backends (by name) and nothing else, provided that the rule's backends are still what
 * `seen` has; `false` where they are not, and nothing is changed.
 */
export async function patchWeights(
  api: KubernetesApi,
  target: HttpRouteTarget,
  seen: HttpRouteReading,
  weights: ReadonlyMap<string, number>,
  signal?: AbortSignal,
): Promise<boolean> {
  const path = await pathOf(api, target);
  const answer = await api.request(
    {
      method: "PATCH",
      path: `${path.object}?fieldManager=ops`,
      permission: `patch httproutes.gateway.networking.k8s.io in the namespace ${path.namespace}`,
      contentType: "application/json-patch+json",
      body: weightPatch(seen, weights),
    },
    { expected: [409, 422], signal },
  );
  if (answer.ok) return true;
  // The same answer for a failed test and for a value that the server does not take: only a look tells.
  const now = await readHttpRoute(api, target, signal);
  if (now.uid !== seen.uid || now.generation !== seen.generation || answer.refusal.status === 409)
    return false;
  const { message } = answer.refusal;
  throw new OpsError("E_KUBERNETES", `The API server does not take the weights of ${target.httpRoute}`, {
    cause: message === "" ? `HTTP status ${answer.refusal.status}` : message,
    hint: `see what is in the way: kubectl describe httproute ${target.httpRoute} -n ${path.namespace}`,
    retryable: false,
  });
}

export type PatchStep = { readonly op: "test" | "add"; readonly path: string; readonly value: unknown };

/** RFC 6902. The tests make it a compare-and-set; `add` sets a weight that is there, and one that is not. */
export function weightPatch(seen: HttpRouteReading, weights: ReadonlyMap<string, number>): PatchStep[] {
  const place = `/spec/rules/${seen.rule}/backendRefs`;
  return [
    { op: "test", path: "/metadata/uid", value: seen.uid },
    // Rules may have changed places with the same backends in both.
    { op: "test", path: "/metadata/generation", value: seen.generation },
    { op: "test", path: place, value: seen.backendRefs },
    ...seen.backendRefs.flatMap(({ name, weight = 1 }, index) => {
      const wanted = weights.get(name);
      return wanted === undefined || wanted === weight
        ? []
        : [{ op: "add" as const, path: `${place}/${index}/weight`, value: wanted }];
    }),
  ];
}

interface Path {
  readonly namespace: string;
  readonly collection: string;
  readonly object: string;
}

async function pathOf(api: KubernetesApi, target: HttpRouteTarget): Promise<Path> {
  const namespace = target.namespace ?? (await api.access()).namespace ?? "default";
  const collection = `/${group}/namespaces/${encodeURIComponent(namespace)}/httproutes`;
  return { namespace, collection, object: `${collection}/${encodeURIComponent(target.httpRoute)}` };
}

function reading(target: HttpRouteTarget, body: unknown): HttpRouteReading {
  const read = httpRouteSchema.safeParse(body);
  if (!read.success) {
    const [issue] = read.error.issues;
    throw new OpsError("E_KUBERNETES", `What the API server has as HTTPRoute ${target.httpRoute} is none`, {
      cause: `${issue?.path.join(".") ?? ""} ${issue?.message ?? ""}`,
      hint: "see whether the kubeconfig's server is an API server: kubectl get httproutes",
      retryable: false,
    });
  }
  const { metadata, spec, status } = read.data;
  const rule = chooseRule(target, spec.rules);
  return {
    namespace: metadata.namespace,
    uid: metadata.uid,
    generation: metadata.generation,
    rule,
    backendRefs: spec.rules[rule]?.backendRefs ?? [],
    acceptance: acceptance(spec.parentRefs, status.parents, metadata),
  };
}

const listSchema = z.object({ items: z.array(z.object({ metadata: z.object({ name: z.string() }) })) });

/** The names are asked for as a help only: who may not list them gets the error without. */
async function unknownHttpRoute(
  api: KubernetesApi,
  target: HttpRouteTarget,
  path: Path,
  refusal: Refusal,
  signal: AbortSignal | undefined,
): Promise<UsageError> {
  if (refusal.kind === undefined) {
    const { server } = await api.access();
    return new UsageError(
      "E_ROUTE_RULE",
      `The cluster at ${server} does not know HTTPRoutes (Gateway API v1)`,
      {
        hint: `install the Gateway API, or name another "context:" of "routes: ${target.name}:" in .opsrc`,
      },
    );
  }
  const names = await api
    .request(
      { method: "GET", path: path.collection, permission: "list httproutes" },
      { expected: [403], signal },
    )
    .then((answer) => (answer.ok ? listSchema.safeParse(answer.body).data?.items : undefined))
    .then((items) => items?.map((each) => each.metadata.name));
  return new UsageError(
    "E_ROUTE_RULE",
    `The namespace ${path.namespace} has no HTTPRoute "${target.httpRoute}"`,
    {
      hint:
        names === undefined
          ? `correct "http-route:" or "namespace:" of "routes: ${target.name}:" in .opsrc`
          : suggestion(target.httpRoute, names),
    },
  );
}
