import { z } from "zod";

/** Whether every gateway works with the spec as it is now. */
export type Acceptance =
  | { readonly kind: "accepted" }
  /** Some gateway has not said anything about this generation yet. */
  | { readonly kind: "waiting"; readonly gateway: string }
  | { readonly kind: "refused"; readonly gateway: string; readonly reason: string };

/** Loose, as the whole HTTPRoute. */
export const parentRefSchema = z.looseObject({
  group: z.string().optional(),
  kind: z.string().optional(),
  namespace: z.string().optional(),
  name: z.string(),
  sectionName: z.string().optional(),
  port: z.number().optional(),
});

const conditionSchema = z.looseObject({
  type: z.string(),
  status: z.enum(["True", "False", "Unknown"]),
  observedGeneration: z.number().optional(),
  reason: z.string().default(""),
  message: z.string().default(""),
});

export const parentStatusSchema = z.looseObject({
  parentRef: parentRefSchema,
  conditions: z.array(conditionSchema).default([]),
});

type ParentRef = z.output<typeof parentRefSchema>;
type ParentStatus = z.output<typeof parentStatusSchema>;

/**
 * What the controllers say of this generation. A condition about an older one says nothing: it was written before the
 * change. Every parent must have `Accepted`; `ResolvedRefs` must be true, and `PartiallyInvalid` must not, where the
 * controller writes them.
 */
export function acceptance(
  parentRefs: readonly ParentRef[],
  parents: readonly ParentStatus[],
  { generation, namespace }: { readonly generation: number; readonly namespace: string },
): Acceptance {
  let waiting: Acceptance | undefined;
  for (const parent of parentRefs) {
    const gateway = gatewayOf(parent, namespace);
    const statuses = parents.filter((each) => isSameParent(each.parentRef, parent, namespace));
    if (statuses.length === 0) waiting ??= { kind: "waiting", gateway };
    for (const { conditions } of statuses) {
      const current = conditions.filter((each) => (each.observedGeneration ?? 0) >= generation);
      const bad = current.find(
        ({ type, status }) =>
          (/^(Accepted|ResolvedRefs)$/.test(type) && status === "False") ||
          (type === "PartiallyInvalid" && status === "True"),
      );
      if (bad !== undefined)
        return {
          kind: "refused",
          gateway,
          reason: [bad.type, bad.reason, bad.message].filter((each) => each !== "").join(": "),
        };
      const isAccepted = current.some(({ type, status }) => type === "Accepted" && status === "True");
      const isStale = conditions.some(
        ({ type, status, observedGeneration = 0 }) =>
          type === "ResolvedRefs" && (observedGeneration < generation || status === "Unknown"),
      );
      if (!isAccepted || isStale) waiting ??= { kind: "waiting", gateway };
    }
  }
  return (
    waiting ?? (parentRefs.length === 0 ? { kind: "waiting", gateway: "any gateway" } : { kind: "accepted" })
  );
}

/** `Gateway shop/public (https)`. */
function gatewayOf(parent: ParentRef, namespace: string): string {
  const section = parent.sectionName === undefined ? "" : ` (${parent.sectionName})`;
  return `${parent.kind ?? "Gateway"} ${parent.namespace ?? namespace}/${parent.name}${section}`;
}

/** With the defaults that either side may leave out. */
function isSameParent(a: ParentRef, b: ParentRef, namespace: string): boolean {
  return identity(a, namespace) === identity(b, namespace);
}

function identity(parent: ParentRef, namespace: string): string {
  return JSON.stringify([
    parent.group ?? "gateway.networking.k8s.io",
    parent.kind ?? "Gateway",
    parent.namespace ?? namespace,
    parent.name,
    parent.sectionName ?? "",
    parent.port ?? 0,
  ]);
}
