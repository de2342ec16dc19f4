import { z } from "zod";
import type { KubernetesApi } from "../kubernetes/api-client.ts";

const reviewSchema = z.object({ status: z.object({ allowed: z.boolean() }) });

/** What RBAC says of a patch of this HTTPRoute, without one. Everybody may ask about oneself. */
export async function mayPatch(
  api: KubernetesApi,
  namespace: string,
  httpRoute: string,
  signal?: AbortSignal,
): Promise<boolean> {
  const resourceAttributes = {
    verb: "patch",
    group: "gateway.networking.k8s.io",
    resource: "httproutes",
    namespace,
    name: httpRoute,
  };
  const answer = await api.request(
    {
      method: "POST",
      path: "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
      body: {
        apiVersion: "authorization.k8s.io/v1",
        kind: "SelfSubjectAccessReview",
        spec: { resourceAttributes },
      },
      permission: "create selfsubjectaccessreviews.authorization.k8s.io",
    },
    { signal },
  );
  return answer.ok && reviewSchema.safeParse(answer.body).data?.status.allowed === true;
}
