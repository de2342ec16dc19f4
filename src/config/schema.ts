import { z } from "zod";
import { duration, name, threshold } from "../core/schema.ts";
import { baselineSchema } from "./baseline-schema.ts";
import { loadPermissionSchema, loadSchema } from "./load-schema.ts";
import { flagMetricsSchema } from "./metrics-schema.ts";
import { notificationSchema } from "./notification-schema.ts";
import { notifyRuleSchema } from "./notify-schema.ts";
import { pitrSchema } from "./pitr-schema.ts";
import { poolSchema } from "./pool-schema.ts";
import { routeSchema } from "./route-schema.ts";
import { scheduleSchema } from "./schedule-schema.ts";
import { isReference } from "./secret.ts";
import { referencedSecret, secret } from "./secret-field.ts";
import { storeSchema } from "./store-schema.ts";
import { watchSchema } from "./watch-schema.ts";

/** What `.opsrc` may hold. Every key has a default, so that a first file needs one database URL. */

export const databaseSchema = z.strictObject({
  url: secret("Connection URL: postgresql://user@host:5432/database").refine(
    (each) => each === "" || isReference(each) || /^postgres(ql)?:\/\//.test(each),
    "must be a connection URL (postgresql://user@host:5432/database) or a reference (env:NAME)",
  ),
  password: secret("Password, where the URL has none").optional(),
  migrations: z.string().default("migrations").describe("Folder of the migration files"),
  "migrations-format": z
    .enum(["ops", "dbmate", "golang-migrate", "goose", "diesel", "flyway", "node-pg-migrate", "sqitch"])
    .optional()
    .describe("The tool whose form the files have; default: as they look"),
  "migrations-policy": z
    .strictObject({
      "out-of-order": z.enum(["error", "allow", "warn", "ignore"]).optional(),
      missing: z.enum(["error", "warn", "ignore"]).optional(),
      edited: z.enum(["error", "warn", "ignore"]).optional(),
    })
    .optional()
    .describe("What to do about files that do not fit what is applied; default: error"),
  "migrations-placeholders": z
    .record(z.string(), z.string())
    .optional()
    .describe("Values of the placeholders in Flyway's files, by name"),
  pitr: pitrSchema.optional().describe("Point-in-time recovery of the cluster that the database is in"),
});

export { poolConfigurationSchema, poolSchema } from "./pool-schema.ts";
export { routeSchema } from "./route-schema.ts";
export { s3Schema, storeSchema } from "./store-schema.ts";

export const flagSourceSchema = z
  .strictObject({
    driver: z.enum(["postgres", "file"]).optional().describe("Default: file where there is one"),
    database: name("The database that holds the flags; default: main").optional(),
    file: z.string().min(1, "must not be empty").optional().describe("A file of flagd, JSON or YAML"),
    history: z
      .string()
      .min(1, "must not be empty")
      .optional()
      .describe("Who changed what in the file; default: FILE.history.jsonl beside it"),
    token: referencedSecret("What clients of ops flag serve must send").optional(),
    metrics: flagMetricsSchema.optional(),
  })
  .superRefine(({ driver, database, file, history }, context) => {
    const mistake = (path: string, message: string) =>
      context.addIssue({ code: "custom", path: [path], message });
    const isFile = driver === "file" || (driver === undefined && file !== undefined);
    if (isFile && file === undefined) mistake("driver", "file needs the key file: the path of the file");
    if (isFile && database !== undefined) mistake("database", "is for flags in PostgreSQL, not in a file");
    if (!isFile && file !== undefined) mistake("file", "is for flags in a file: driver: file");
    if (!isFile && history !== undefined)
      mistake("history", "is for flags in a file; a database keeps its own");
  });

export const checkSchema = z.strictObject({
  id: name("The check's name in this gate"),
  kind: z.string().describe("What is measured: sql, http, command, backup-age"),
  with: z.record(z.string(), z.unknown()).default({}).describe("What this kind of check needs"),
  fail: threshold('Limit that fails the check: "> 5%"').optional(),
  warn: threshold("Limit that warns").optional(),
  required: z
    .boolean()
    .default(true)
    .describe("false: it warns where it would stop, be it failed or unknown"),
  unknown: z.enum(["fail", "warn", "pass"]).optional().describe("What an unmeasurable check counts as"),
  timeout: duration("How long measuring may take; default: what the kind needs").optional(),
  "fresh-for": duration(
    "How long a result that did not fail is used again instead of measuring; default: always measured",
  ).optional(),
  why: z.string().optional().describe("Why it matters; shown when it does not pass"),
  remedy: z.string().optional().describe("What to do about it; shown when it does not pass"),
});

export const gateSectionSchema = z.strictObject({
  title: z.string().trim().min(1, "must not be empty").describe("Heading of the section in the checklist"),
  text: z.string().optional().describe("What a person should know; Markdown"),
  checks: z.array(checkSchema).min(1, "needs at least one check"),
});

const gateContent = {
  title: z.string().trim().min(1, "must not be empty").optional().describe("Heading of the checklist"),
  text: z.string().optional().describe("What a person should know before; Markdown"),
  unknown: z
    .enum(["fail", "warn", "pass"])
    .optional()
    .describe("What an unmeasurable check counts as. Default: fail"),
  "longest-override": duration(
    "How long a person may override a check of it; 0s: not at all. Default: 30d",
  ).optional(),
  checks: z.array(checkSchema).min(1, "needs at least one check").optional(),
  sections: z.array(gateSectionSchema).min(1, "needs at least one section").optional(),
};

/** What a file that a gate names may hold. */
export const gateFileSchema = z.strictObject(gateContent).superRefine(needsChecks);

export const gateSchema = z
  .strictObject({
    ...gateContent,
    file: z.string().min(1, "must not be empty").optional().describe("A file with the rest of the gate"),
  })
  .superRefine((gate, context) => {
    if (gate.file === undefined) return needsChecks(gate, context);
    for (const key of ["title", "text", "checks", "sections"] as const) {
      if (gate[key] === undefined) continue;
      context.addIssue({ code: "custom", path: [key], message: `stands in the file ${gate.file}, not here` });
    }
  });

function needsChecks(gate: { checks?: unknown; sections?: unknown }, context: z.RefinementCtx): void {
  if (gate.checks !== undefined || gate.sections !== undefined) return;
  context.addIssue({
    code: "custom",
    message: "needs checks",
    params: { hint: 'add "checks:", "sections:" with checks, or "file:"' },
  });
}

const targets = {
  databases: z.record(name("A database's name"), databaseSchema).default({}),
  stores: z.record(name("A store's name"), storeSchema).default({}),
  routes: z.record(name("A route's name"), routeSchema).default({}),
  pools: z.record(name("A pool's name"), poolSchema).default({}),
  "flag-sources": z.record(name("A flag source's name"), flagSourceSchema).default({}),
  gates: z.record(name("A gate's name"), gateSchema).default({}),
  schedules: z.record(name("A schedule's name"), scheduleSchema).default({}),
  notifications: z.record(name("A notification's name"), notificationSchema).default({}),
  notify: z.record(name("A rule's name"), notifyRuleSchema).default({}),
  watches: z.record(name("A watch's name"), watchSchema).default({}),
  loads: z.record(name("A load's name"), loadSchema).default({}),
  load: loadPermissionSchema.default({}),
  baselines: z.record(name("A baseline's name"), baselineSchema).default({}),
};

/** One environment after the shared targets and its own are joined. */
export const environmentSchema = z.strictObject(targets);

/** The kinds of target, as keys of the configuration. */
export const targetKinds = [
  "databases",
  "stores",
  "routes",
  "pools",
  "flag-sources",
  "gates",
  "schedules",
  "notifications",
  "notify",
  "watches",
  "loads",
  "load",
  "baselines",
] as const;
export type TargetKind = (typeof targetKinds)[number];

/** The whole file. Targets are checked after the join, so that an environment can override one key of a target. */
export const configSchema = z.strictObject({
  "state-dir": z.string().default(".ops").describe("Where the journal lives, relative to this file"),
  "default-environment": name("The environment used without --env").optional(),
  environments: z
    .record(
      name("An environment's name"),
      z.strictObject(
        Object.fromEntries(targetKinds.map((kind) => [kind, z.record(z.string(), z.unknown()).default({})])),
      ),
    )
    .default({}),
  ...Object.fromEntries(targetKinds.map((kind) => [kind, z.record(z.string(), z.unknown()).default({})])),
});

export type EnvironmentSettings = z.output<typeof environmentSchema>;
export type DatabaseSettings = z.output<typeof databaseSchema>;
export type GateContent = z.output<typeof gateFileSchema>;
/** As it stands in `.opsrc`; `Environment.gate` reads the file that it may name. */
export type GateEntry = z.output<typeof gateSchema>;
export type ScheduleSettings = z.output<typeof scheduleSchema>;
export type NotifyRule = z.output<typeof notifyRuleSchema>;
export type NotificationSettings = z.output<typeof notificationSchema>;
export type { BaselineSettings } from "./baseline-schema.ts";
export type { LoadSettings } from "./load-schema.ts";
export type CheckSettings = z.output<typeof checkSchema>;
