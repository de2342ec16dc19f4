import type { TargetKind } from "./schema.ts";

/** Those of which there are several, each with a name. */
export type NamedKind = Exclude<TargetKind, "load">;

/** What one of them is called in an error. */
export const singular: Record<NamedKind, string> = {
  databases: "database",
  stores: "store",
  routes: "route",
  pools: "pool",
  "flag-sources": "flag source",
  gates: "gate",
  schedules: "schedule",
  notifications: "notification",
  notify: "rule of notify",
  watches: "watch",
  loads: "load",
  baselines: "baseline",
};
