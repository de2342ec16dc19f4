import { z } from "zod";
import { name } from "../core/schema.ts";

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

/** A route as it is written in `.opsrc`: one member for each balancer. */
export const routeSchema = z.discriminatedUnion("driver", [haproxyRouteSchema]);

export type RouteSettings = z.output<typeof routeSchema>;
export type HaproxyRouteSettings = z.output<typeof haproxyRouteSchema>;
