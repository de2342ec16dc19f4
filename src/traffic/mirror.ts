import { z } from "zod";
import type { Environment } from "../config/environment.ts";
import { UsageError } from "../core/errors.ts";
import { formatPercent } from "../core/percent.ts";
import { name, percentage } from "../core/schema.ts";
import { defineOperation } from "../run/operation.ts";
import { openRoute, requireVersion } from "./route.ts";
import { requireUp } from "./shift.ts";
import type { Mirror, Mirrored } from "./traffic-driver.ts";

const mirrored = z.object({
  version: z.string(),
  share: z.number().describe("Percent of the requests that are copied"),
  methods: z.array(z.string()),
});

const output = z.object({
  route: z.string(),
  mirror: mirrored.nullable().describe("Who gets copies now; null: nobody"),
});

type Before = { route: string; mirror: Mirrored | null };

export const mirror = defineOperation({
  name: "traffic.mirror",
  summary: "Send a version copies of a share of the requests, whose answers nobody gets",
  example: "traffic mirror green --share 10%",
  effect: "change",
  input: z.strictObject({
    route: name("The route; default: the only one, or the one called web").optional(),
    to: name("The version that gets the copies"),
    share: percentage("Share of the requests that are copied; 0%: none any more").prefault("100%"),
    methods: z
      .array(z.string().regex(/^[A-Z]+$/, "must be methods of HTTP, such as GET"))
      .min(1, "needs at least one method")
      .default(["GET", "HEAD"])
      .describe("Methods that are copied; what others change would be changed twice"),
  }),
  positional: ["to"],
  output,
  targets: ({ route }, environment) => [`route:${environment.route(route).name}`],
  async observe(context, { route: given, to, share }): Promise<Before> {
    const { route, opened } = openMirror(context.environment, given);
    requireVersion(route.target, to);
    const weights = await route.driver.weights(context.signal);
    if (share > 0 && (weights[to] ?? 0) > 0) {
      throw new UsageError("E_MIRROR", `${to} serves the route ${route.target.name} already`, {
        hint: "copies are for a version without traffic: see ops traffic status",
      });
    }
    return { route: route.target.name, mirror: (await opened.read(context.signal)) ?? null };
  },
  plan(before, { to, share, methods }) {
    const wanted = wantedOf(before.mirror, to, share, methods);
    if (sameMirror(before.mirror, wanted)) return [];
    return [
      {
        target: `route:${before.route}`,
        action: "update",
        summary: wanted === null ? `send ${to} no copies any more` : `send ${shown(wanted)}`,
        from: before.mirror,
        to: wanted,
      },
    ];
  },
  async apply(context, { route: given, to, share, methods }, before) {
    const { route, opened } = openMirror(context.environment, given);
    if (share > 0) await requireUp(route, to, context.signal);
    await opened.set(wantedOf(before.mirror, to, share, methods) ?? undefined, context.signal);
    return { route: before.route, mirror: (await opened.read(context.signal)) ?? null };
  },
  async undo(context, { route: given }, before) {
    const { opened } = openMirror(context.environment, given);
    await opened.set(before.mirror ?? undefined, context.signal);
    return {
      undone: true,
      note: before.mirror === null ? "nobody gets copies" : `back to ${shown(before.mirror)}`,
    };
  },
  render: ({ route, mirror: now }) =>
    `route ${route}: ${now === null ? "nobody gets copies" : `sends ${shown(now)}`}`,
});

/** Throws `E_MIRROR` where the balancer has no mirror that ops could set. */
function openMirror(environment: Environment, given: string | undefined) {
  const route = openRoute(environment, given);
  const { target, driver } = route;
  if (driver.mirror !== undefined) return { route, opened: driver.mirror satisfies Mirror };
  const why: Readonly<Record<string, string>> = {
    haproxy:
      "HAProxy copies requests only by an agent of its own (SPOE, spoa-mirror), which is set up in haproxy.cfg",
    alb: "an AWS load balancer copies no requests",
    "gateway-api": "add a filter RequestMirror to the HTTPRoute yourself; ops leaves it as it is",
  };
  throw new UsageError("E_MIRROR", `The driver ${target.driver} of the route ${target.name} has no mirror`, {
    hint: why[target.driver] ?? "only nginx has one (docs/balancers.md)",
  });
}

/** Ending it for one version leaves the copies of another. */
function wantedOf(now: Mirrored | null, to: string, share: number, methods: string[]): Mirrored | null {
  if (share > 0) return { version: to, share, methods };
  return now?.version === to ? null : now;
}

function sameMirror(one: Mirrored | null, other: Mirrored | null): boolean {
  return JSON.stringify(one) === JSON.stringify(other);
}

function shown({ version, share, methods }: Mirrored): string {
  return `${version} copies of ${formatPercent(share)} of the requests (${methods.join(", ")})`;
}
