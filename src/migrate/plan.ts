import { z } from "zod";
import { withConnection } from "../postgres/connection.ts";
import { defineOperation } from "../run/operation.ts";
import { versionOf } from "./assessment.ts";
import { database, refuseToWithSteps, refuseUnknownVersion, steps, version } from "./input.ts";
import type { Migration } from "./migration-file.ts";
import { measuredSchema, newestMeasurements } from "./plan-measurements.ts";
import { plannedStatements, statementSchema, tablesOfIndexes } from "./plan-statements.ts";
import { planText } from "./plan-text.ts";
import { judge, policies, policyFields } from "./policy.ts";
import { refuseProblems } from "./problem.ts";
import { survey } from "./session.ts";
import { readRelations, readTableSizes } from "./test/relations.ts";

const migrationSchema = z.object({
  version: z.string(),
  name: z.string(),
  file: z.string(),
  phase: z.enum(["expand", "contract"]),
  transaction: z.boolean().describe("false: statement by statement; a failure leaves what ran before it"),
  batch: z.boolean().describe("It runs in batches, each in a transaction of its own"),
  reversible: z.boolean().describe("It has a way down"),
  sql: z.string().describe("Exactly what is sent"),
  statements: z.array(statementSchema),
  measured: measuredSchema.nullable().describe("From the newest report about exactly these files"),
});

export const planOutput = z.object({
  database: z.string(),
  current: z.string().nullable().describe("The newest applied version; null where there is none"),
  warnings: z.array(z.string()),
  report: z
    .object({ path: z.string(), finishedAt: z.string(), verdict: z.enum(["pass", "fail"]) })
    .nullable()
    .describe("The newest report of migrate.test about exactly these files"),
  migrations: z.array(migrationSchema).describe("In the order in which they would run"),
});

export const plan = defineOperation({
  name: "migrate.plan",
  summary: "Show what the pending migrations will run, lock and take",
  example: "migrate plan --to 0002",
  effect: "read",
  input: z.strictObject({
    database,
    to: version("Plan up to this version and with it"),
    steps: steps("Plan at most so many migrations"),
    ...policyFields,
  }),
  output: planOutput,
  observe: async () => null,
  plan: () => [],
  apply: async (context, input) => {
    refuseToWithSteps(input);
    const target = context.environment.database(input.database);
    const { folder, assessment } = await survey(context, target);
    const { problems, warnings, waiting } = judge(assessment, policies(input, target));
    refuseProblems(target.name, [...folder.problems, ...problems]);
    const { to } = input;
    if (to !== undefined) refuseUnknownVersion(to, assessment.standings.map(versionOf));
    const chosen = waiting
      .map((each) => each.migration)
      .filter((each) => to === undefined || folder.compare(each.version, to) <= 0)
      .slice(0, input.steps);
    const database = await withConnection(target, { signal: context.signal }, async (client) => ({
      sizes: await readTableSizes(client),
      tableOfIndex: tablesOfIndexes(await readRelations(client)),
    }));
    const stored = await newestMeasurements(context, target.name, chosen);
    const migrations = [];
    const made = new Set<string>();
    for (const migration of chosen) {
      const { statements, transaction } = await plannedStatements(migration.up, database, made);
      migrations.push({
        ...described(migration),
        transaction,
        statements,
        measured: stored?.measured(migration, database.sizes) ?? null,
      });
    }
    return {
      database: target.name,
      current: assessment.current ?? null,
      warnings: warnings.map((each) => each.message),
      report:
        stored === undefined
          ? null
          : { path: stored.path, finishedAt: stored.report.finishedAt, verdict: stored.report.verdict },
      migrations,
    };
  },
  render: planText,
});

function described({ version, name, up, down, settings }: Migration) {
  return {
    version,
    name,
    file: up.name,
    phase: settings.phase,
    batch: settings.batch !== undefined,
    reversible: down !== undefined,
    sql: up.sql,
  };
}
