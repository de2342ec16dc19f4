import type { BackendState } from "../haproxy/backend-state.ts";

/** How a pool chooses the server of a request, in our words. */
export const strategies = ["round-robin", "weighted", "least-connections", "sticky"] as const;
export type StrategyName = (typeof strategies)[number];

/** What runs now; HAProxy's own word for an algorithm that is none of ours. */
export function strategyName({ algorithm, cookie, servers }: BackendState): string {
  if (cookie !== null) return algorithm === "roundrobin" ? "sticky" : `${algorithm} with cookie ${cookie}`;
  if (algorithm === "leastconn") return "least-connections";
  if (algorithm !== "roundrobin") return algorithm;
  return new Set(servers.map(({ weight }) => weight)).size > 1 ? "weighted" : "round-robin";
}
