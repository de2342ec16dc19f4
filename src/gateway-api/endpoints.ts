import { z } from "zod";
import type { KubernetesApi } from "../kubernetes/api-client.ts";

/** How many pods of a Service take requests, by its EndpointSlices. */
export interface ServiceEndpoints {
  readonly ready: number;
  readonly total: number;
}

const slicesSchema = z.object({
  items: z.array(
    z.object({
      endpoints: z
        .array(z.object({ conditions: z.object({ ready: z.boolean().nullish() }).nullish() }))
        .nullish(),
    }),
  ),
});

/**
 * Undefined where nothing tells of its endpoints: a Service without a selector, or of another sort; one without pods has
 * an empty slice. Throws the errors of `KubernetesApi.request`.
 */
export async function serviceEndpoints(
  api: KubernetesApi,
  namespace: string,
  service: string,
  signal?: AbortSignal,
): Promise<ServiceEndpoints | undefined> {
  const selector = encodeURIComponent(`kubernetes.io/service-name=${service}`);
  const answer = await api.request(
    {
      method: "GET",
      path: `/apis/discovery.k8s.io/v1/namespaces/${encodeURIComponent(namespace)}/endpointslices?labelSelector=${selector}`,
      permission: `list endpointslices.discovery.k8s.io in the namespace ${namespace}`,
    },
    { signal },
  );
  const slices = answer.ok ? slicesSchema.safeParse(answer.body).data?.items : undefined;
  if (slices === undefined || slices.length === 0) return undefined;
  const endpoints = slices.flatMap((each) => each.endpoints ?? []);
  // Nothing said means ready, says the API.
  const ready = endpoints.filter((each) => each.conditions?.ready !== false).length;
  return { ready, total: endpoints.length };
}
