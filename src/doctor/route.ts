import type { Environment } from "../config/environment.ts";
import { albFinding } from "./alb-route.ts";
import { execFinding } from "./exec-route.ts";
import { type Finding, missingBecause } from "./finding.ts";
import { gatewayFinding } from "./gateway-route.ts";
import { haproxyFinding } from "./haproxy-route.ts";
import { nginxFinding } from "./nginx-route.ts";

/** Whether what splits a route's traffic answers, lets us change weights, and has the versions of the configuration. */
export async function routeFinding(
  environment: Environment,
  name: string,
  signal: AbortSignal,
): Promise<Finding> {
  try {
    const route = environment.route(name);
    switch (route.driver) {
      case "haproxy":
        return await haproxyFinding(route, signal);
      case "nginx":
        return await nginxFinding(route, signal);
      case "exec":
        return await execFinding(route, signal);
      case "alb":
        return await albFinding(route, signal);
      case "gateway-api":
        return await gatewayFinding(route, signal);
    }
  } catch (error) {
    return missingBecause(`route ${name}`, error, `correct "routes: ${name}:" in .opsrc`);
  }
}
