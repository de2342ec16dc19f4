import type { Check } from "./run/check.ts";
import type { Operation } from "./run/operation.ts";
import type { RestorePointMaker } from "./run/restore-point.ts";

/** What a capability contributes, loaded only when it is used so that the command starts fast. */
export interface CapabilityEntry {
  /** The word on the command line: `ops backup …`. */
  readonly name: string;
  readonly summary: string;
  readonly operations: () => Promise<{ readonly operations: readonly Operation[] }>;
  /** One of them by its verb (`up`), without loading the others; undefined where they have to be. */
  readonly operation?: (verb: string) => Promise<Operation | undefined>;
  /** What the groups among its operations are about (`keys` of `backup.keys.new`), for help. */
  readonly groups?: Readonly<Record<string, string>>;
  /** The verb that is meant where none is typed: `ops watch --gate x` is `ops watch run --gate x`. */
  readonly usual?: string;
  readonly checks?: () => Promise<{ readonly checks: readonly Check[] }>;
  readonly restorePoints?: () => Promise<{ readonly restorePoints: RestorePointMaker }>;
}

/** Everything that `ops` can do. A new capability is one folder and one entry here. */
export const capabilities: readonly CapabilityEntry[] = [
  {
    name: "gate",
    summary: "Go / no-go decisions from measured facts",
    operations: () => import("./gate/operations.ts"),
    checks: () => import("./gate/checks.ts"),
  },
  {
    name: "watch",
    summary: "Measure a gate again and again after a release, and act once when it goes bad",
    usual: "run",
    operations: () => import("./watch/operations.ts"),
  },
  {
    name: "backup",
    summary: "Encrypted backups: create, list, verify, restore, prune",
    operations: () => import("./backup/operations.ts"),
    groups: { keys: "Who can open the backups: make keys, list them, encrypt to others" },
    checks: () => import("./backup/checks.ts"),
  },
  {
    name: "wal",
    summary: "The write-ahead log of a cluster in the archive: push, fetch, status",
    operations: () => import("./wal/operations.ts"),
    checks: () => import("./wal/checks.ts"),
  },
  {
    name: "pitr",
    summary: "Point-in-time recovery: base backups, restores to a moment",
    operations: () => import("./pitr/operations.ts"),
    groups: { base: "Base backups: copies of a whole cluster as it runs" },
    checks: () => import("./pitr/checks.ts"),
    restorePoints: () => import("./pitr/restore-points.ts"),
  },
  {
    name: "schedule",
    summary: "What runs by itself: list, install into cron or systemd",
    operations: () => import("./schedule/operations.ts"),
    checks: () => import("./schedule/checks.ts"),
  },
  {
    name: "migrate",
    summary: "Schema migrations",
    operations: () => import("./migrate/operations.ts"),
    operation: async (verb) => (await import("./migrate/quick-operations.ts")).quickOperation(verb),
    checks: () => import("./migrate/checks.ts"),
  },
  {
    name: "traffic",
    summary: "Weighted traffic: status, shifts and canaries",
    operations: () => import("./traffic/operations.ts"),
    checks: () => import("./traffic/checks.ts"),
  },
  {
    name: "pool",
    summary: "The servers behind a balancer: drain, weigh, choose a strategy",
    operations: () => import("./pool/operations.ts"),
  },
  {
    name: "flag",
    summary: "Feature flags in flagd's format: roll out, kill, restore, lint",
    operations: () => import("./flag/operations.ts"),
    checks: () => import("./flag/checks.ts"),
    groups: { segment: "Shared rules that flags use by name" },
  },
  {
    name: "notify",
    summary: "Who is told of runs and schedules: list, test, what waits",
    operations: () => import("./notify/operations.ts"),
  },
  {
    name: "load",
    summary: "Load on a service of your own, held to thresholds",
    operations: () => import("./load/operations.ts"),
    checks: () => import("./load/checks.ts"),
  },
  {
    name: "baseline",
    summary: "How something was while all was well, and whether it has become worse",
    operations: () => import("./baseline/operations.ts"),
    checks: () => import("./baseline/checks.ts"),
  },
  {
    name: "shell",
    summary: "Run a program of your own",
    operations: () => import("./shell/operations.ts"),
  },
  {
    name: "http",
    summary: "Send an HTTP request",
    operations: () => import("./http-request/operations.ts"),
  },
  {
    name: "sandbox",
    summary: "A throw-away PostgreSQL, HAProxy and sample application",
    operations: () => import("./sandbox/operations.ts"),
  },
];
