import { z } from "zod";
import type { Environment, NginxRouteTarget } from "../config/environment.ts";
import { UsageError } from "../core/errors.ts";
import { name } from "../core/schema.ts";
import { hasOwnedFile, readOwnedFile, writeOwnedFile } from "../nginx/owned-file.ts";
import { parseRouteFile, renderRouteFile } from "../nginx/route-file.ts";
import { defineOperation } from "../run/operation.ts";
import { requireVersion } from "./route.ts";

const output = z.object({
  route: z.string(),
  file: z.string().describe("Absolute path"),
  version: z.string(),
});

/** It has no undo: by then nginx may include the file. */
export const init = defineOperation({
  name: "traffic.init",
  summary: "Make the file that nginx includes for a route, where there is none: all traffic for one version",
  example: "traffic init blue --route web",
  effect: "change",
  input: z.strictObject({
    route: name("The route; default: the only one, or the one called web").optional(),
    version: name("The version that gets all traffic"),
  }),
  positional: ["version"],
  output,
  targets: ({ route }, environment) => [`route:${environment.route(route).name}`],
  async observe(context, { route, version }) {
    const target = nginxRoute(context.environment, route);
    requireVersion(target, version);
    const there = await hasOwnedFile(target);
    // Of somebody else's file nothing may be thought to be in order.
    if (there) parseRouteFile(target.file, await readOwnedFile(target));
    return { route: target.name, file: target.file, there };
  },
  plan: ({ route, file, there }, { version }) =>
    there
      ? []
      : [
          {
            target: `route:${route}`,
            action: "create",
            summary: `write ${file} with all traffic for ${version}`,
          },
        ],
  async apply(context, { route, version }, { file, there }) {
    const target = nginxRoute(context.environment, route);
    if (!there) {
      const { name: routeName, split, versions, status } = target;
      await writeOwnedFile(
        target,
        renderRouteFile({ route: routeName, split, versions, status }, { [version]: 100 }),
      );
    }
    return { route: target.name, file, version };
  },
  async undo(_context, _input, { file }) {
    return { undone: "kept", note: `${file} stays: nginx may include it by now` };
  },
  render: ({ file }) => `${file} is there; include it in the http block of nginx.conf and reload nginx`,
});

function nginxRoute(environment: Environment, route: string | undefined): NginxRouteTarget {
  const target = environment.route(route);
  if (target.driver === "nginx") return target;
  throw new UsageError(
    "E_ROUTE_DRIVER",
    `The route ${target.name} needs no file: its driver is ${target.driver}`,
    {
      hint: "see its weights: ops traffic status",
    },
  );
}
