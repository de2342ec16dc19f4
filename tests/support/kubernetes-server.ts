import type { IncomingMessage, ServerResponse } from "node:http";
import { createServer, type ServerOptions } from "node:https";
import type { AddressInfo } from "node:net";
import { startHttpServer, type TestHttpServer } from "./http-server.ts";

export interface TestHttpRoute {
  metadata: { name: string; namespace: string; uid: string; generation: number; resourceVersion: string };
  spec: { parentRefs: object[]; rules: { name?: string; backendRefs: TestBackendRef[] }[] };
  status?: { parents: object[] };
}
export interface TestBackendRef {
  name: string;
  weight?: number;
}

export interface TestKubernetes extends TestHttpServer {
  /** `namespace/name` → the object, as the API server keeps it. */
  readonly httpRoutes: Map<string, TestHttpRoute>;
  /** Service → whether each of its pods is ready; a Service that is not here has no EndpointSlice. */
  readonly endpoints: Map<string, boolean[]>;
  /** Bearer tokens that are taken. */
  readonly tokens: Set<string>;
  /** `patch httproutes`, `list endpointslices`: what the role does not allow. */
  readonly denied: Set<string>;
  /** Answers every request with this status, or only so many, until it is undefined again. */
  failure: { readonly status: number; readonly requests?: number; readonly retryAfter?: number } | undefined;
  /** Called once before the next patch is tried: what somebody else does in between. */
  beforePatch: (() => void) | undefined;
  /** While it is true, connections break without an answer. */
  away: boolean;
  /** What the gateway's controller says of a new generation, so many milliseconds later. */
  controller: { verdict: "accepts" | "refuses" | "silent"; delay: number };
  /** Changes the spec as another client would. */
  change(key: string, work: (spec: TestHttpRoute["spec"]) => void): void;
  weights(key: string, rule?: number): Record<string, number>;
  /** The same as of the last generation that the controller accepted. */
  weightsInForce(key: string, rule?: number): Record<string, number>;
}

/** An HTTPRoute of two rules with filters and an annotation, accepted by its gateway. */
export function httpRoute(name: string, weights: Readonly<Record<string, number>>): TestHttpRoute {
  return {
    metadata: {
      name,
      namespace: "shop",
      uid: `uid-of-${name}`,
      generation: 1,
      resourceVersion: "1",
      ...{ annotations: { "example.com/owner": "web team" } },
    },
    spec: {
      parentRefs: [{ name: "public", sectionName: "https" }],
      rules: [
        {
          ...{ matches: [{ headers: [{ name: "x-tester", value: "1" }] }] },
          backendRefs: [{ name: "web-tests", weight: 1, ...{ kind: "Service", port: 80 } }],
        },
        {
          name: "split",
          ...{ matches: [{ path: { type: "PathPrefix", value: "/" } }], timeouts: { request: "10s" } },
          backendRefs: Object.entries(weights).map(([service, weight]) => ({
            ...{ group: "", kind: "Service", port: 8080 },
            name: service,
            weight,
            ...{ filters: [{ type: "RequestHeaderModifier", requestHeaderModifier: { remove: ["x"] } }] },
          })),
        },
      ],
    },
    status: { parents: [parentStatus(1, "accepts")] },
  };
}

function parentStatus(generation: number, verdict: "accepts" | "refuses"): object {
  const isAccepted = verdict === "accepts";
  return {
    parentRef: { group: "gateway.networking.k8s.io", kind: "Gateway", name: "public", sectionName: "https" },
    controllerName: "example.com/gateway",
    conditions: [
      {
        type: "Accepted",
        status: isAccepted ? "True" : "False",
        reason: isAccepted ? "Accepted" : "UnsupportedValue",
        message: isAccepted ? "" : "no such weights here",
        observedGeneration: generation,
      },
      {
        type: "ResolvedRefs",
        status: "True",
        reason: "ResolvedRefs",
        message: "",
        observedGeneration: generation,
      },
    ],
  };
}

/**
 * A stub of the part of the Kubernetes API that is used here (HTTPRoutes by GET and JSON Patch, EndpointSlices, a
 * SelfSubjectAccessReview), with a controller that writes the status some time after a change. No gateway and no cluster
 * stand behind it: it shows what is sent and what becomes of the answers.
 *
 * @param tls makes it an HTTPS server with these keys
 */
export async function startKubernetes(tls?: ServerOptions): Promise<TestKubernetes> {
  const httpRoutes = new Map<string, TestHttpRoute>();
  const endpoints = new Map<string, boolean[]>();
  const tokens = new Set(["good-token"]);
  const denied = new Set<string>();
  const timers = new Set<NodeJS.Timeout>();
  const inForce = new Map<string, TestHttpRoute["spec"]>();
  const state: Pick<TestKubernetes, "failure" | "beforePatch" | "away" | "controller"> = {
    failure: undefined,
    beforePatch: undefined,
    away: false,
    controller: { verdict: "accepts", delay: 20 },
  };
  let version = 1;

  /** Every change of a spec is a new generation, which the controller hears of. */
  const store = (key: string, route: TestHttpRoute) => {
    version += 1;
    const generation = route.metadata.generation + 1;
    httpRoutes.set(key, {
      ...route,
      metadata: { ...route.metadata, generation, resourceVersion: String(version) },
    });
    const { verdict, delay } = state.controller;
    if (verdict === "silent") return;
    const timer = setTimeout(() => {
      timers.delete(timer);
      const present = httpRoutes.get(key);
      if (present === undefined || present.metadata.generation !== generation) return;
      version += 1;
      present.metadata.resourceVersion = String(version);
      present.status = { parents: [parentStatus(generation, verdict)] };
      if (verdict === "accepts") inForce.set(key, structuredClone(present.spec));
    }, delay);
    timers.add(timer);
  };

  const answer = (request: IncomingMessage, response: ServerResponse, body: string) => {
    if (state.away) return request.socket.destroy();
    const send = (status: number, value: object, headers = {}) => {
      response.writeHead(status, { "content-type": "application/json", ...headers });
      response.end(JSON.stringify(value));
    };
    const refuse = (code: number, reason: string, message: string, details: object = {}) =>
      send(code, { kind: "Status", apiVersion: "v1", status: "Failure", code, reason, message, details });
    const url = new URL(request.url ?? "", "http://localhost");
    const method = request.method ?? "";
    if (state.failure !== undefined) {
      const { status, requests = Number.POSITIVE_INFINITY, retryAfter } = state.failure;
      state.failure = requests > 1 ? { ...state.failure, requests: requests - 1 } : undefined;
      return send(status, {}, retryAfter === undefined ? {} : { "retry-after": String(retryAfter) });
    }
    const isTrusted =
      "authorized" in request.socket && request.socket.authorized === true
        ? true
        : tokens.has((request.headers.authorization ?? "").replace("Bearer ", ""));
    if (!isTrusted) return refuse(401, "Unauthorized", "Unauthorized");
    if (url.pathname === "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews")
      return send(201, { status: { allowed: !denied.has("patch httproutes") } });
    const [, namespace = "", kind = "", name] =
      /^\/apis\/[^/]+\/v1\/namespaces\/([^/]+)\/([^/]+)(?:\/([^/]+))?$/.exec(url.pathname) ?? [];
    const verb = method === "PATCH" ? "patch" : name === undefined ? "list" : "get";
    if (denied.has(`${verb} ${kind}`)) {
      const what = `${kind}.gateway.networking.k8s.io is forbidden: User "deploy" cannot ${verb} resource "${kind}"`;
      return refuse(403, "Forbidden", what, { kind, name });
    }
    if (kind === "endpointslices") {
      const service = url.searchParams.get("labelSelector")?.replace("kubernetes.io/service-name=", "") ?? "";
      const ready = endpoints.get(service);
      const slice = { endpoints: ready?.map((each) => ({ conditions: { ready: each } })) ?? null };
      return send(200, { items: ready === undefined ? [] : [slice] });
    }
    if (kind !== "httproutes") {
      response.writeHead(404, { "content-type": "text/plain" });
      return response.end("404 page not found\n");
    }
    if (name === undefined)
      return send(200, {
        items: [...httpRoutes.values()].filter((each) => each.metadata.namespace === namespace),
      });
    const key = `${namespace}/${name}`;
    if (method === "PATCH") {
      const meanwhile = state.beforePatch;
      state.beforePatch = undefined;
      meanwhile?.();
    }
    const present = httpRoutes.get(key);
    if (present === undefined)
      return refuse(404, "NotFound", `httproutes.gateway.networking.k8s.io "${name}" not found`, {
        kind,
        name,
      });
    if (method === "GET") return send(200, present);
    if (request.headers["content-type"] !== "application/json-patch+json")
      return refuse(415, "UnsupportedMediaType", "the body of the request was in an unknown format");
    const patched = applyPatch(present, JSON.parse(body));
    if (patched === undefined)
      return refuse(422, "Invalid", "the server rejected our request due to an error in our request");
    const weights = patched.spec.rules.flatMap((rule) => rule.backendRefs.map((each) => each.weight ?? 1));
    if (weights.some((each) => each < 0 || each > 1_000_000))
      return refuse(422, "Invalid", `HTTPRoute "${name}" is invalid: weight: should be less than 1000000`, {
        kind: "HTTPRoute",
      });
    if (JSON.stringify(patched.spec) !== JSON.stringify(present.spec)) store(key, patched);
    send(200, httpRoutes.get(key) ?? {});
  };

  const server = tls === undefined ? await startHttpServer(answer) : await startHttpsServer(tls, answer);
  return Object.assign(state, {
    ...server,
    httpRoutes,
    endpoints,
    tokens,
    denied,
    change: (key: string, work: (spec: TestHttpRoute["spec"]) => void) => {
      const present = httpRoutes.get(key);
      if (present === undefined) throw new Error(`there is no HTTPRoute ${key}`);
      const changed = structuredClone(present);
      work(changed.spec);
      store(key, changed);
    },
    weights: (key: string, rule = 1) => weightsIn(httpRoutes.get(key)?.spec, rule),
    weightsInForce: (key: string, rule = 1) => weightsIn(inForce.get(key) ?? httpRoutes.get(key)?.spec, rule),
    stop: async () => {
      for (const timer of timers) clearTimeout(timer);
      await server.stop();
    },
  });
}

function weightsIn(spec: TestHttpRoute["spec"] | undefined, rule: number): Record<string, number> {
  const backends = spec?.rules[rule]?.backendRefs ?? [];
  return Object.fromEntries(backends.map((each) => [each.name, each.weight ?? 1]));
}

/** RFC 6902, as far as it is used here; undefined where a test fails or a place is not there. */
function applyPatch(
  route: TestHttpRoute,
  steps: readonly { op: string; path: string; value: unknown }[],
): TestHttpRoute | undefined {
  const copy = structuredClone(route);
  for (const { op, path, value } of steps) {
    const keys = path.slice(1).split("/");
    const last = keys.pop() ?? "";
    let place: unknown = copy;
    for (const key of keys) place = (place as Record<string, unknown> | undefined)?.[key];
    if (place === null || typeof place !== "object") return undefined;
    const fields = place as Record<string, unknown>;
    if (op === "test") {
      if (canonical(fields[last]) !== canonical(value)) return undefined;
    } else if (op === "add") {
      fields[last] = value;
    } else return undefined;
  }
  return copy;
}

/** JSON with its keys in order: JSON Patch compares objects whatever the order. */
function canonical(value: unknown): string {
  return JSON.stringify(value, (_, each) =>
    each !== null && typeof each === "object" && !Array.isArray(each)
      ? Object.fromEntries(Object.entries(each).sort(([a], [b]) => (a < b ? -1 : 1)))
      : each,
  );
}

async function startHttpsServer(
  tls: ServerOptions,
  answer: (request: IncomingMessage, response: ServerResponse, body: string) => void,
): Promise<TestHttpServer> {
  const requests: TestHttpServer["requests"] = [];
  const server = createServer(tls, async (request, response) => {
    let body = "";
    for await (const chunk of request.setEncoding("utf8")) body += chunk;
    requests.push({ method: request.method ?? "", url: request.url ?? "", headers: request.headers, body });
    answer(request, response, body);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `https://127.0.0.1:${(server.address() as AddressInfo).port}`,
    requests,
    stop: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
