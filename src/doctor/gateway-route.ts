import type { GatewayRouteTarget } from "../config/environment.ts";
import { readHttpRoute } from "../gateway-api/http-route.ts";
import { mayPatch } from "../gateway-api/permission.ts";
import { KubernetesApi } from "../kubernetes/api-client.ts";
import { type Finding, missing, ok, warn } from "./finding.ts";

/** Whether the cluster answers, has the HTTPRoute with its versions, and lets us change it. Throws where it does not answer. */
export async function gatewayFinding(route: GatewayRouteTarget, signal: AbortSignal): Promise<Finding> {
  const api = new KubernetesApi(route);
  const { backendRefs, namespace, acceptance } = await readHttpRoute(api, route, signal);
  const subject = `route ${route.name}`;
  if (!(await mayPatch(api, namespace, route.httpRoute, signal))) {
    const mend = `allow: patch httproutes.gateway.networking.k8s.io in the namespace ${namespace} (docs/balancers.md has the whole role)`;
    return missing(
      subject,
      `${(await api.access()).origin} may not change HTTPRoute ${route.httpRoute}`,
      mend,
    );
  }
  const split = backendRefs.map(({ name, weight = 1 }) => `${name} (${weight})`).join(", ");
  const sentence = `HTTPRoute ${namespace}/${route.httpRoute} splits its traffic between ${split}`;
  if (acceptance.kind === "accepted") return ok(subject, sentence);
  const why = acceptance.kind === "refused" ? acceptance.reason : "it has said nothing about it";
  const mend = `see what the gateway says: kubectl describe httproute ${route.httpRoute} -n ${namespace}`;
  return warn(subject, `${sentence}, which ${acceptance.gateway} does not accept: ${why}`, mend);
}
