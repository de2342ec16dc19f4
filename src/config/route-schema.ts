import { z } from "zod";
import { name, writtenDuration } from "../core/schema.ts";

/** What a route has whatever its balancer is. */
const common = {
  versions: z
    .record(name("A version"), z.string().min(1, "must not be empty"))
    .describe("Version of the application: what the balancer calls the place that runs it")
    .refine((each) => Object.keys(each).length >= 2, "needs at least two versions to split traffic between"),
};

export const haproxyRouteSchema = z.strictObject({
  // Optional as well: so that the union below knows it where it is not written.
  driver: z.literal("haproxy").optional().default("haproxy").describe("The balancer"),
  socket: z.string().min(1, "must not be empty").describe("Runtime socket: a path, or host:port"),
  backend: z.string().min(1, "must not be empty").describe("The backend that splits the traffic"),
  ...common,
  "request-ring": z
    .string()
    .optional()
    .describe("HAProxy ring with one line for each request; needed for p95 limits (docs/traffic.md)"),
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

/** A route as it is written in `.opsrc`: one member for each balancer. */
export const routeSchema = z.discriminatedUnion("driver", [
  haproxyRouteSchema,
  albRouteSchema,
  gatewayRouteSchema,
]);

export type RouteSettings = z.output<typeof routeSchema>;
export type HaproxyRouteSettings = z.output<typeof haproxyRouteSchema>;
export type AlbRouteSettings = z.output<typeof albRouteSchema>;
export type GatewayRouteSettings = z.output<typeof gatewayRouteSchema>;
