import { z } from "zod";
import { formatDuration } from "../core/duration.ts";
import { ExitCode, errorRecord, OpsError } from "../core/errors.ts";
import { name } from "../core/schema.ts";
import { formatBytes } from "../core/size.ts";
import { prometheusFile, refuseMissingFolder, writeMetrics } from "../metrics/file.ts";
import type { OperationContext } from "../run/context.ts";
import { defineOperation } from "../run/operation.ts";
import { plainScreen, type Screen } from "../run/screen.ts";
import { chart } from "./chart.ts";
import { type BackupOverview, readOverview } from "./overview.ts";
import { prometheusText } from "./prometheus.ts";
import { type Standing, standingOf, standingSchema } from "./standing.ts";

const output = z.object({
  environment: z.string(),
  overdue: z.boolean().describe("Whether anything is overdue, or a store could not be read"),
  stores: z.array(z.object({ store: z.string(), error: z.string().nullable() })),
  databases: z.array(standingSchema).describe("One for each database in each store"),
});

export type BackupStatus = z.output<typeof output>;

export const status = defineOperation({
  name: "backup.status",
  summary: "Show how the backups stand: age, size and duration; exit code 3 when one is overdue",
  example: "backup status --prometheus /var/lib/prometheus/node-exporter/ops.prom",
  effect: "read",
  input: z.strictObject({
    store: name("Only this store; default: all").optional(),
    database: name("Only this database; default: all").optional(),
    last: z
      .int("must be a whole number")
      .min(1, "must be 1 or more")
      .max(1000, "must be at most 1000")
      .default(10)
      .describe("How many backups the chart shows"),
    prometheus: prometheusFile,
  }),
  output,
  observe: async () => null,
  plan: () => [],

  async apply(context, input) {
    if (input.database !== undefined) context.environment.database(input.database);
    if (input.prometheus !== undefined) await refuseMissingFolder(input.prometheus);
    const names = input.store === undefined ? context.environment.names("stores") : [input.store];
    // Throws the usual error where there is no store at all.
    if (names.length === 0) context.environment.store();
    const read = await Promise.all(names.map((each) => readStore(context, each)));
    const all = read.flatMap(({ backups }) => backups);
    const databases = read.flatMap(({ store, error, backups }) => {
      if (error !== null) return [];
      const { expect } = context.environment.store(store);
      return expected(context, store, input.database, backups, all).map(({ database, none }) =>
        standingOf(
          { database, store },
          backups.filter((each) => each.database === database),
          { maxAgeMs: expect.maxAge, last: input.last, none },
        ),
      );
    });
    const result: BackupStatus = {
      environment: context.environment.name,
      overdue: databases.some((each) => each.overdue) || read.some((each) => each.error !== null),
      stores: read.map(({ store, error }) => ({ store, error })),
      databases,
    };
    if (input.prometheus !== undefined)
      await writeMetrics(input.prometheus, prometheusText(result, context.clock.now()));
    return result;
  },

  failure(result) {
    if (!result.overdue) return undefined;
    const late = result.databases.filter((each) => each.overdue);
    const unread = result.stores.filter((each) => each.error !== null);
    const parts = [
      ...late.map(({ database, store, ageMs }) =>
        ageMs === null
          ? `${database} has none in ${store}`
          : `${database} in ${store} is ${formatDuration(ageMs)} old`,
      ),
      ...unread.map(({ store }) => `store ${store} cannot be read`),
    ];
    const [first] = late;
    return new OpsError("E_BACKUP_OVERDUE", `Backups are overdue: ${parts.join("; ")}`, {
      hint:
        first === undefined
          ? "look at the stores with: ops doctor"
          : `make one: ops backup create --database ${first.database} --store ${first.store}`,
      exitCode: ExitCode.noGo,
    });
  },

  render: (result, screen = plainScreen) => {
    const parts = [
      ...result.databases.map((each) => renderStanding(each, screen)),
      ...result.stores.flatMap(({ store, error }) =>
        error === null ? [] : [`${screen.color.red("✖")} store ${store} cannot be read\n  ${error}`],
      ),
    ];
    return parts.length === 0 ? `Environment ${result.environment} has no backups` : parts.join("\n\n");
  },
});

function renderStanding(standing: Standing, screen: Screen): string {
  const { color } = screen;
  const { database, store, ageMs, maxAgeMs, overdue, count, bytes, warnings } = standing;
  const sign = overdue ? color.red("✖") : warnings.length > 0 ? color.yellow("!") : color.green("✔");
  const limit = `limit ${formatDuration(maxAgeMs)}`;
  const age =
    ageMs === null
      ? (overdue ? color.red : color.yellow)("no backup")
      : overdue
        ? `${color.red("overdue:")} newest ${formatDuration(ageMs)} old, ${limit}`
        : `newest ${formatDuration(ageMs)} old, ${limit}`;
  const counts = [
    ...(count === 0 ? [] : [`${count} ${count === 1 ? "backup" : "backups"}, ${formatBytes(bytes)}`]),
    ...(standing.parts === 0 ? [] : [`${standing.parts} more of a part`]),
    ...(standing.held === 0 ? [] : [`${standing.held} held`]),
    ...(standing.broken === 0 ? [] : [color.red(`${standing.broken} broken`)]),
  ];
  return [
    `${sign} ${color.bold(database)} in ${color.bold(store)}: ${age}`,
    ...(counts.length === 0 ? [] : [`  ${color.dim(counts.join(", "))}`]),
    ...warnings.map((each) => `  ${color.yellow("!")} ${each.text}`),
    ...(standing.history.length === 0 ? [] : chart(standing, screen)),
  ].join("\n");
}

interface ReadStore {
  readonly store: string;
  /** Why it cannot be read. */
  readonly error: string | null;
  /** Those of the environment. */
  readonly backups: readonly BackupOverview[];
}

/** One store that cannot be read must not hide how the others stand. */
async function readStore(context: OperationContext, store: string): Promise<ReadStore> {
  const target = context.environment.store(store);
  try {
    const all = await readOverview(target, context.clock.now());
    const backups = all.filter(
      (each) => each.environment === context.environment.name || each.environment === null,
    );
    return { store, error: null, backups };
  } catch (error) {
    if (context.signal.aborted || !(error instanceof OpsError)) throw error;
    const { message, cause } = errorRecord(error);
    return { store, error: cause === undefined ? message : `${message}: ${cause}`, backups: [] };
  }
}

/** A database whose backups are looked for in a store, and what it is where it has none there. */
interface Expected {
  readonly database: string;
  readonly none: "overdue" | "warning";
}

/**
 * What is asked for, else what the store expects, else those that have a backup there, and those of the configuration:
 * one that has a backup nowhere is overdue, one that has some in another store only worth a warning.
 */
function expected(
  context: OperationContext,
  store: string,
  asked: string | undefined,
  here: readonly BackupOverview[],
  everywhere: readonly BackupOverview[],
): Expected[] {
  const required = (names: readonly string[]): Expected[] =>
    names.map((database) => ({ database, none: "overdue" }));
  if (asked !== undefined) return required([asked]);
  const named = (all: readonly BackupOverview[]) => all.flatMap(({ database }) => database ?? []);
  const wanted = context.environment.store(store).expect.databases;
  const found = new Set(named(here));
  if (wanted !== undefined) return required([...new Set([...wanted, ...found])]);
  const saved = new Set(named(everywhere));
  const others = context.environment.names("databases").filter((each) => !found.has(each));
  return [
    ...required([...found, ...others.filter((each) => !saved.has(each))]),
    ...others.filter((each) => saved.has(each)).map((database): Expected => ({ database, none: "warning" })),
  ].sort((one, other) => (one.database < other.database ? -1 : 1));
}
