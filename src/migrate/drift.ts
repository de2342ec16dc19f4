import { z } from "zod";
import type { DatabaseTarget } from "../config/environment.ts";
import { ExitCode, OpsError } from "../core/errors.ts";
import { withConnection } from "../postgres/connection.ts";
import { compareSchemas, type SchemaDifference, withoutParts } from "../postgres-schema/comparison.ts";
import { readSchema } from "../postgres-schema/read-schema.ts";
import type { DatabaseSchema, SchemaObject } from "../postgres-schema/schema-object.ts";
import { createOf, suggestStatements } from "../postgres-schema/suggestion.ts";
import { textDifference } from "../postgres-schema/text-difference.ts";
import type { OperationContext } from "../run/context.ts";
import { defineOperation } from "../run/operation.ts";
import { expectedSchema, type Surroundings } from "./expected-schema.ts";
import { database } from "./input.ts";
import { type Migration, title } from "./migration-file.ts";
import { refuseProblems } from "./problem.ts";
import { type Survey, survey } from "./session.ts";

const differenceSchema = z.object({
  state: z
    .enum(["missing", "unexpected", "changed"])
    .describe("missing: the live database lacks it; unexpected: only the live database has it"),
  kind: z.string().describe("table, column, index, function, …"),
  identity: z.string().describe("The object's qualified name"),
  expected: z.string().nullable().describe("What the migrations give"),
  live: z.string().nullable().describe("What the live database has"),
});

type Difference = z.output<typeof differenceSchema>;

export const drift = defineOperation({
  name: "migrate.drift",
  summary: "Compare the live schema with what its applied migrations give, built on a throw-away server",
  example: "migrate drift --database main",
  effect: "read",
  input: z.strictObject({
    database,
    owners: z
      .boolean()
      .describe("Compare owners too: they should be the role that the migrations run as")
      .default(false),
    ignore: z
      .array(z.string())
      .describe("Objects that may differ: names as the result shows them, * for any text (audit.*)")
      .default([]),
  }),
  output: z.object({
    database: z.string().describe("The database"),
    version: z.string().nullable().describe("The newest applied version; null where there is none"),
    migrations: z.number().describe("How many applied migrations the comparison is built from"),
    differences: z.array(differenceSchema).describe("In the order in which objects are created"),
    reordered: z
      .array(z.string())
      .describe("Tables that differ only in the order of their columns: no drift"),
    suggestion: z
      .array(z.string())
      .describe(
        "Statements that would bring the live database back, where they are simple; to be read, not run unseen",
      ),
    notes: z.array(z.string()).describe("What limits the comparison"),
  }),
  observe: async () => null,
  plan: () => [],
  apply: async (context, input, _before, report) => {
    const target = context.environment.database(input.database);
    const found = await survey(context, target);
    const migrations = appliedMigrations(target, found);
    report.progress({ message: `read the schema of database ${target.name}` });
    const live = await readLive(context, target);
    const expected = await expectedSchema(context, target, migrations, live.surroundings, report);
    const difference = compareSchemas(withoutVersions(expected), withoutVersions(live.schema), {
      ignoreKinds: input.owners ? [] : ["owner"],
    });
    const drifted = without(difference, [...input.ignore.map(pattern), ...historiesOfOtherTools]);
    return {
      database: target.name,
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
  },
  failure: ({ database, differences }) =>
    differences.length === 0
      ? undefined
      : new OpsError(
          "E_DRIFT",
          `Database ${database} is not what its migrations give: ${differences.length} ${differences.length === 1 ? "object differs" : "objects differ"}`,
          {
            exitCode: ExitCode.noGo,
            hint: "write a migration for what should stay, and take back by hand what should not",
          },
        ),
  render: ({ database, version, migrations, differences, reordered, suggestion, notes }) =>
    [
      ...differences.flatMap(show),
      ...(reordered.length === 0
        ? []
        : ["columns in another order (no drift):", ...reordered.map((each) => `  ${each}`)]),
      ...(suggestion.length === 0
        ? []
        : [
            "",
            "-- A suggestion, to be read and not run unseen: it would bring the live database back to its migrations.",
            ...suggestion,
          ]),
      ...notes.map((each) => `note: ${each}`),
      ...(differences.length === 0
        ? [
            `database ${database} is what its ${migrations} applied ${migrations === 1 ? "migration gives" : "migrations give"} (version ${version ?? "none"})`,
          ]
        : []),
    ].join("\n"),
});

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
    "row" in each && "migration" in each ? [each.migration] : [],
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

function without(difference: SchemaDifference, ignored: readonly RegExp[]): SchemaDifference {
  const stays = ({ identity }: { identity: string }) => !ignored.some((each) => each.test(identity));
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

function show({ state, kind, identity, expected, live }: Difference): string[] {
  const heading = {
    missing: `${kind} ${identity} is missing`,
    unexpected: `${kind} ${identity} is in no migration`,
    changed: `${kind} ${identity} is not what the migrations give`,
  }[state];
  const lines =
    expected !== null && live !== null
      ? textDifference(expected, live)
      : (expected ?? live ?? "").split("\n").map((line) => `${state === "missing" ? "-" : "+"} ${line}`);
  return [heading, ...lines.map((line) => `  ${line}`)];
}

function columnNames(table: string, columns: readonly string[]): string {
  const name = table.replace(/^(foreign )?table /, "");
  return columns.map((each) => each.slice(name.length + 1)).join(", ");
}

function notes({ assessment, halfDone }: Survey, expected: DatabaseSchema, live: DatabaseSchema): string[] {
  const major = (schema: DatabaseSchema) => Math.floor(schema.serverVersion / 10_000);
  const edited = assessment.standings.flatMap((each) =>
    each.state === "edited" ? [each.migration.up.name] : [],
  );
  return [
    ...edited.map(
      (name) => `${name} was changed after it was applied; the comparison is with the file as it is now`,
    ),
    ...halfDone.map((each) => `version ${each.version} is applied in part`),
    ...(major(expected) === major(live)
      ? []
      : [
          `the live server is PostgreSQL ${major(live)}, the throw-away one ${major(expected)}, and may print the same definition in another way`,
        ]),
  ];
}
