import { z } from "zod";
import type { DatabaseTarget } from "../config/environment.ts";
import { withConnection } from "../postgres/connection.ts";
import { compareSchemas, type SchemaDifference, withoutParts } from "../postgres-schema/comparison.ts";
import { readSchema } from "../postgres-schema/read-schema.ts";
import type { DatabaseSchema, SchemaObject } from "../postgres-schema/schema-object.ts";
import { createOf, suggestStatements } from "../postgres-schema/suggestion.ts";
import type { OperationContext } from "../run/context.ts";
import type { Report } from "../run/operation.ts";
import { expectedSchema, type Surroundings } from "./expected-schema.ts";
import { madeBy } from "./made-names.ts";
import { type Migration, title } from "./migration-file.ts";
import { refuseProblems } from "./problem.ts";
import type { Survey } from "./session.ts";

export const differenceSchema = z.object({
  state: z
    .enum(["missing", "unexpected", "changed"])
    .describe("missing: the live database lacks it; unexpected: only the live database has it"),
  kind: z.string().describe("table, column, index, function, …"),
  identity: z.string().describe("The object's qualified name"),
  expected: z.string().nullable().describe("What the migrations give"),
  live: z.string().nullable().describe("What the live database has"),
});

export type Difference = z.output<typeof differenceSchema>;

/** A live schema beside what its applied migrations give. */
export interface Drift {
  /** The newest applied version; null where there is none. */
  readonly version: string | null;
  /** How many applied migrations the comparison is built from. */
  readonly migrations: number;
  readonly differences: Difference[];
  /** Tables that differ only in the order of their columns: no drift. */
  readonly reordered: string[];
  readonly suggestion: string[];
  readonly notes: string[];
}

export interface DriftOptions {
  readonly owners: boolean;
  /** Names that may differ, `*` for any text. */
  readonly ignore: readonly string[];
}

/** Builds the expected schema on a throw-away server. Throws `E_MIGRATIONS`, `E_MIGRATIONS_FROM_EMPTY`. */
export async function readDrift(
  context: OperationContext,
  target: DatabaseTarget,
  found: Survey,
  { owners, ignore }: DriftOptions,
  report: Report,
): Promise<Drift> {
  const migrations = appliedMigrations(target, found);
  report.progress({ message: `read the schema of database ${target.name}` });
  const live = await readLive(context, target);
  const changed = changedRepeatables(found);
  const isOfChanged = await madeBy(changed.map((each) => each.up));
  const expected = await expectedSchema(context, target, migrations, changed, live.surroundings, report);
  const difference = compareSchemas(withoutVersions(expected), withoutVersions(live.schema), {
    ignoreKinds: owners ? [] : ["owner"],
  });
  const ignored = [...ignore.map(pattern), ...historiesOfOtherTools];
  const drifted = without(
    difference,
    (each) => isOfChanged(each) || ignored.some((one) => one.test(each.identity)),
  );
  return {
    version: found.assessment.current ?? null,
    migrations: migrations.length,
    differences: listed(drifted, expected, live.schema),
    reordered: drifted.reordered.map(
      ({ table, before, after }) =>
        `${table}: ${columnNames(table, after)}; migrations: ${columnNames(table, before)}`,
    ),
    suggestion: suggestStatements(expected, reversed(drifted)),
    notes: notes(found, expected, live.schema),
  };
}

/** Throws `E_MIGRATIONS` where the file of an applied one is gone, or a file cannot be read. */
function appliedMigrations(target: DatabaseTarget, { folder, assessment }: Survey): Migration[] {
  const gone = assessment.standings.flatMap((each) =>
    each.state === "missing"
      ? [
          {
            kind: "missing",
            message: `${title(each.row)} is applied but has no file, so that nobody knows what it gives`,
            hint: "restore it, or check out the version of the code that has it",
          },
        ]
      : [],
  );
  refuseProblems(target.name, [...folder.problems, ...gone]);
  return assessment.standings.flatMap((each) =>
    "migration" in each && ("row" in each || each.previous !== undefined) ? [each.migration] : [],
  );
}

/** They were applied with another text than they have now, which nobody has kept. */
function changedRepeatables({ assessment }: Survey): Migration[] {
  return assessment.standings.flatMap((each) =>
    "previous" in each && each.previous !== undefined ? [each.migration] : [],
  );
}

async function readLive(
  context: OperationContext,
  target: DatabaseTarget,
): Promise<{ schema: DatabaseSchema; surroundings: Surroundings }> {
  return withConnection(
    target,
    { signal: context.signal, applicationName: "ops migrate drift" },
    async (client) => {
      const { rows } = await client.query<{ database: string; user: string; roles: string[] }>(
        `SELECT current_database() AS database, current_user AS user,
              ARRAY(SELECT rolname::text FROM pg_roles WHERE rolname !~ '^pg_') AS roles`,
      );
      const { database = "", user = "", roles = [] } = rows[0] ?? {};
      return { schema: await readSchema(client), surroundings: { databaseName: database, user, roles } };
    },
  );
}

/** The version of an extension is that of the machine, not of the migrations. */
function withoutVersions(schema: DatabaseSchema): DatabaseSchema {
  return {
    ...schema,
    objects: schema.objects.map((each) =>
      each.kind === "extension"
        ? { ...each, definition: each.definition.replace(/ VERSION '[^']*'/, "") }
        : each,
    ),
  };
}

/** A database whose history was adopted keeps the other tool's table, which no migration makes. */
const historiesOfOtherTools = [
  /^public\.(schema_migrations|goose_db_version|goose_db_version_id_seq|__diesel_schema_migrations)(\.|$)/,
  /^public\.(flyway_schema_history|pgmigrations|pgmigrations_id_seq)(\.|$)/,
  /( ON| TABLE| table) public\.(schema_migrations|goose_db_version|__diesel_schema_migrations|flyway_schema_history|pgmigrations)(\.|$| )/,
  /^public\.(flyway_schema_history_s_idx|__diesel_manage_updated_at.*|diesel_(manage|set)_updated_at\(.*)$/,
  /^sqitch(\.|$)|( ON| TABLE| table| SCHEMA| schema) sqitch(\.|$| )/,
];

function pattern(text: string): RegExp {
  return new RegExp(`^${text.replaceAll(/[.+?^${}()|[\]\\]/g, "\\$&").replaceAll("*", ".*")}$`);
}

function without(
  difference: SchemaDifference,
  ignored: (object: { readonly kind: string; readonly identity: string }) => boolean,
): SchemaDifference {
  const stays = (object: { readonly kind: string; readonly identity: string }) => !ignored(object);
  return {
    ...difference,
    added: difference.added.filter(stays),
    removed: difference.removed.filter(stays),
    changed: difference.changed.filter(stays),
  };
}

/** The way back: from what is live to what the migrations give. */
function reversed({ added, removed, changed, reordered }: SchemaDifference): SchemaDifference {
  const turned = changed.map(({ before, after, ...object }) => ({ ...object, before: after, after: before }));
  return { added: removed, removed: added, changed: turned, reordered };
}

/** A table that is missing stands for its columns and indexes. */
function listed(
  { added, removed, changed }: SchemaDifference,
  expected: DatabaseSchema,
  live: DatabaseSchema,
): Difference[] {
  const whole = (object: SchemaObject, schema: DatabaseSchema) =>
    object.kind === "column" ? object.definition : createOf(object, schema).join("\n");
  const named = ({ kind, identity }: Pick<SchemaObject, "kind" | "identity">) => ({ kind, identity });
  return [
    ...withoutParts(removed).map(
      (each): Difference => ({
        state: "missing",
        ...named(each),
        expected: whole(each, expected),
        live: null,
      }),
    ),
    ...withoutParts(added).map(
      (each): Difference => ({
        state: "unexpected",
        ...named(each),
        expected: null,
        live: whole(each, live),
      }),
    ),
    ...changed.map(
      (each): Difference => ({ state: "changed", ...named(each), expected: each.before, live: each.after }),
    ),
  ];
}

function columnNames(table: string, columns: readonly string[]): string {
  const name = table.replace(/^(foreign )?table /, "");
  return columns.map((each) => each.slice(name.length + 1)).join(", ");
}

function notes(found: Survey, expected: DatabaseSchema, live: DatabaseSchema): string[] {
  const { assessment, halfDone } = found;
  const major = (schema: DatabaseSchema) => Math.floor(schema.serverVersion / 10_000);
  const edited = assessment.standings.flatMap((each) =>
    each.state === "edited" ? [each.migration.up.name] : [],
  );
  return [
    ...edited.map(
      (name) => `${name} was changed after it was applied; the comparison is with the file as it is now`,
    ),
    ...changedRepeatables(found).map(
      ({ up }) =>
        `${up.name} was changed after it was applied: what it makes is not compared; what only its earlier text made counts as in no migration`,
    ),
    ...halfDone.map((each) => `version ${each.version} is applied in part`),
    ...(major(expected) === major(live)
      ? []
      : [
          `the live server is PostgreSQL ${major(live)}, the throw-away one ${major(expected)}, and may print the same definition in another way`,
        ]),
  ];
}
