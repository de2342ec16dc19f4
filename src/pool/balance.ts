import type { Weights } from "./weights.ts";

/** Server → requests that it had on average, being served and waiting. Only of servers that take requests. */
export type Loads = { [server: string]: number };

export interface BalanceLimits {
  /** The largest part of its weight by which a server's changes at once, 0–1. */
  readonly step: number;
  /** How far a server's load may be from the mean, 0–1. */
  readonly tolerance: number;
  readonly minimum: number;
  readonly maximum: number;
}

/** With fewer requests than this in the whole pool, on average, nothing can be said of one server. */
const leastLoad = 0.5;
/** The weights of a pool are written large enough for steps of a few percent. */
const fineWeight = 100;

/**
 * Weights that bring the loads closer together: each server's is divided by its load over the mean, within the limits. A
 * slow server then gets fewer requests, for what it has at once is its requests a second times the time each takes.
 * The weights as they are, where no load is further from the mean than tolerated.
 */
export function balancedWeights(weights: Weights, loads: Loads, limits: BalanceLimits): Weights {
  const servers = Object.keys(loads);
  const total = servers.reduce((sum, server) => sum + (loads[server] ?? 0), 0);
  const mean = total / servers.length;
  if (servers.length < 2 || total < leastLoad) return weights;
  const off = servers.filter((server) => Math.abs((loads[server] ?? 0) / mean - 1) > limits.tolerance);
  if (off.length === 0) return weights;
  const scale = scaleOf(weights, limits.maximum);
  return Object.fromEntries(
    Object.entries(weights).map(([server, weight]) => {
      const scaled = weight * scale;
      if (!off.includes(server)) return [server, scaled];
      const wanted =
        scaled * bounded(mean / Math.max(loads[server] ?? 0, mean / 100), 1 - limits.step, 1 + limits.step);
      return [server, bounded(Math.round(wanted), Math.max(1, limits.minimum), limits.maximum)];
    }),
  );
}

/** Times as large, all weights mean the same; small ones could not change by a few percent. */
function scaleOf(weights: Weights, maximum: number): number {
  const largest = Math.max(...Object.values(weights));
  return largest >= fineWeight ? 1 : Math.max(1, Math.floor(Math.min(fineWeight, maximum) / largest));
}

function bounded(value: number, least: number, most: number): number {
  return Math.min(most, Math.max(least, value));
}
