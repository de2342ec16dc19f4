import { z } from "zod";
import { name, writtenDuration } from "../core/schema.ts";
import { metricsSchema } from "./metrics-schema.ts";

/** What a route has whatever its balancer is. */
const common = {
  versions: z
    .record(name("A version"), z.string().min(1, "must not be empty"))
    .describe("Version of the application: what the balancer calls the place that runs it")
    .refine((each) => Object.keys(each).length >= 2, "needs at least two versions to split traffic between"),
  metrics: metricsSchema.optional(),
};

const mapPath = z
  .string()
  .regex(/^\/[A-Za-z0-9_./-]+$/, "must be an absolute path of letters, digits, '_', '.', '-' and '/'");

export const haproxyRouteSchema = z.strictObject({
  // Optional as well: so that the union below knows it where it is not written.
  driver: z.literal("haproxy").optional().default("haproxy").describe("The balancer"),
  socket: z.string().min(1, "must not be empty").describe("Runtime socket: a path, or host:port"),
  backend: z.string().min(1, "must not be empty").describe("The backend that splits the traffic"),
  ...common,
  "request-ring": z
    .string()
    .optional()
    .describe("HAProxy ring with one line for each request; needed for p95 limits (docs/balancers.md)"),
  "state-file": z
    .string()
    .min(1, "must not be empty")
    .optional()
    .describe(
      "Server-state file of the backend, which ops writes so that weights outlive a reload (docs/balancers.md)",
    ),
  buckets: z
    .strictObject({
      map: mapPath.describe("Map of HAProxy, bucket to server: its path as haproxy.cfg has it"),
      count: z.int().min(100).max(10_000).default(1000).describe("How many buckets users are hashed into"),
    })
    .optional()
    .describe("Users stay with their version: the split is by buckets instead of weights (docs/canary.md)"),
  testers: z
    .strictObject({
      map: mapPath.describe("Map of HAProxy, what a header or a cookie says to server: its path"),
      backend: z
        .string()
        .min(1, "must not be empty")
        .describe("The backend that testers are sent to; another one than the route's"),
    })
    .optional()
    .describe("Users who get a version whatever its share is (docs/canary.md)"),
});

export const albRouteSchema = z
  .strictObject({
    driver: z.literal("alb").describe("An Application Load Balancer of AWS"),
    "listener-rule": albArn("listener-rule")
      .optional()
      .describe("ARN of the rule whose forward action splits the traffic"),
    listener: albArn("listener")
      .optional()
      .describe("ARN of the listener whose default action does, instead of a rule"),
    ...common,
    region: z
      .string()
      .min(1, "must not be empty")
      .optional()
      .describe("AWS region; default: the one in the ARN"),
    profile: z.string().min(1, "must not be empty").optional().describe("Profile of ~/.aws/config"),
    endpoint: z
      .url({ protocol: /^https?$/, error: "must be the URL of a server" })
      .optional()
      .describe("The API's server, where it is not AWS's own"),
  })
  .superRefine((route, context) => {
    const named = [route["listener-rule"], route.listener].filter((each) => each !== undefined);
    if (named.length === 1) return;
    context.addIssue({
      code: "custom",
      message:
        named.length === 0 ? "says nowhere which rule splits the traffic" : "names a rule and a listener",
      params: {
        hint: "write listener-rule: with the ARN of a rule, or listener: with that of a listener whose default action is meant",
      },
    });
  });

/** The ARN of a rule or a listener of an Application Load Balancer. */
function albArn(kind: "listener-rule" | "listener") {
  const pattern = new RegExp(
    `^arn:[\\w-]+:elasticloadbalancing:[\\w-]+:\\d{12}:${kind}/app(/[\\w-]+){${kind === "listener" ? 3 : 4}}$`,
  );
  return z
    .string()
    .regex(pattern, `must be an ARN: arn:aws:elasticloadbalancing:REGION:ACCOUNT:${kind}/app/…`);
}

export const gatewayRouteSchema = z.strictObject({
  driver: z.literal("gateway-api").describe("An HTTPRoute of Kubernetes' Gateway API"),
  "http-route": z
    .string()
    .min(1, "must not be empty")
    .describe("The HTTPRoute whose rule splits the traffic"),
  namespace: z
    .string()
    .min(1, "must not be empty")
    .optional()
    .describe("Its namespace; default: the context's"),
  rule: z
    .union([z.string().min(1, "must not be empty"), z.number().int().min(0)])
    .optional()
    .describe("The rule's name, or its place from 0; default: the only one that has all versions"),
  ...common,
  kubeconfig: z
    .string()
    .min(1, "must not be empty")
    .optional()
    .describe("File; default: KUBECONFIG, ~/.kube/config, or the pod's own service account"),
  context: z
    .string()
    .min(1, "must not be empty")
    .optional()
    .describe("Context of the kubeconfig; default: its current one"),
  "accept-within": writtenDuration("How long the gateway may take to accept new weights").default("30s"),
});

const command = (description: string) =>
  z
    .array(z.string())
    .min(1, "needs a program")
    .refine(([program]) => program !== "", "needs a program")
    .describe(`${description}, as a list; no shell reads it`);

const hostAndPort = /^([\w.-]+|\[[0-9A-Fa-f:]+\]):\d{1,5}$/;

/** What goes into nginx's configuration must not end a directive, a block or a text there. */
const nginxText = (what: string) =>
  z
    .string()
    .regex(/^[^;{}"'#\\\r\n]*$/, "must not hold ; { } # \\ or quotes")
    .describe(what);

export const nginxRouteSchema = z
  .strictObject({
    driver: z.literal("nginx"),
    file: z
      .string()
      .min(1, "must not be empty")
      .describe("The file that ops writes and nginx includes in its http block"),
    status: z
      .string()
      .regex(hostAndPort, "must be host:port, such as 127.0.0.1:8090")
      .describe("Where nginx tells what it has loaded; the server is in the file"),
    upstream: z
      .string()
      .regex(/^[A-Za-z0-9_.-]+$/, "must hold only letters, digits, '.', '_' and '-'")
      .optional()
      .describe("Name of the upstream among whose servers the traffic is split by weight"),
    "upstream-lines": z
      .array(nginxText("A line of the upstream without its ;"))
      .optional()
      .describe("More lines of the upstream: keepalive 32"),
    "server-parameters": nginxText("More parameters of each server: max_fails=0").optional(),
    variable: z
      .string()
      .regex(/^[A-Za-z0-9_]+$/, "must hold only letters, digits and '_'")
      .optional()
      .describe(
        "Instead of an upstream: name of the variable that gets the version's value, by split_clients",
      ),
    key: z
      .string()
      .regex(/^[^;"'\\\r\n]+$/, "must not hold ; \\ or quotes")
      .optional()
      .describe(
        "With variable: what a client is known by, so that it stays with its version: ${cookie_user}",
      ),
    test: command("How nginx's configuration is tested").prefault(["nginx", "-t"]),
    reload: command("How nginx is told to load it").prefault(["nginx", "-s", "reload"]),
    "load-within": writtenDuration("How long nginx may take to load it").default("10s"),
    ...common,
  })
  .superRefine((route, context) => {
    const refuse = (path: string[], message: string, hint: string) =>
      context.addIssue({ code: "custom", path, message, params: { hint } });
    if ((route.upstream === undefined) === (route.variable === undefined)) {
      refuse(
        [],
        'needs either "upstream" or "variable"',
        "upstream: web splits by weight, variable: web_version by client",
      );
      return;
    }
    const foreign =
      route.upstream === undefined ? (["upstream-lines", "server-parameters"] as const) : (["key"] as const);
    const meant = route.upstream === undefined ? "upstream" : "variable";
    for (const key of foreign) {
      if (route[key] !== undefined)
        refuse([key], `is only for "${meant}"`, `remove it, or write ${meant}: …`);
    }
    if (route.variable !== undefined && route.key === undefined) {
      refuse([], 'needs a "key" beside its "variable"', 'write for example key: "${remote_addr}"');
    }
    const value =
      route.upstream === undefined
        ? /^[\w.:-]+$/
        : /^([\w.-]+|\[[0-9A-Fa-f:]+\])(:\d{1,5})?$|^unix:[\w./-]+$/;
    for (const [version, place] of Object.entries(route.versions)) {
      if (value.test(place)) continue;
      const needed =
        route.upstream === undefined ? "a value such as an upstream's name" : "host:port or unix:/path";
      context.addIssue({
        code: "custom",
        path: ["versions", version],
        message: `${JSON.stringify(place)} must be ${needed}`,
      });
    }
  });

export const execRouteSchema = z.strictObject({
  driver: z.literal("exec"),
  get: command("The program that prints the weights as JSON"),
  set: command("The program that sets the weights it reads as JSON on standard input"),
  "maximum-weight": z
    .int("must be a whole number")
    .min(10, "must be 10 or more")
    .max(1_000_000, "must be at most 1000000")
    .optional()
    .describe("The largest weight of a version; default: weights are percent, 100 in all"),
  variables: z
    .array(z.string().regex(/^[A-Za-z_][A-Za-z0-9_]*$/, "must be the name of an environment variable"))
    .default([])
    .describe("Names of environment variables that both get, beside PATH, HOME, LANG and TZ"),
  timeout: writtenDuration("How long each may run").default("30s"),
  ...common,
});

/** A route as it is written in `.opsrc`: one member for each balancer. */
export const routeSchema = z.discriminatedUnion("driver", [
  haproxyRouteSchema,
  albRouteSchema,
  gatewayRouteSchema,
  nginxRouteSchema,
  execRouteSchema,
]);

export type RouteSettings = z.output<typeof routeSchema>;
export type HaproxyRouteSettings = z.output<typeof haproxyRouteSchema>;
export type AlbRouteSettings = z.output<typeof albRouteSchema>;
export type GatewayRouteSettings = z.output<typeof gatewayRouteSchema>;
export type NginxRouteSettings = z.output<typeof nginxRouteSchema>;
export type ExecRouteSettings = z.output<typeof execRouteSchema>;
