import { z } from "zod";
import { withConnection } from "../postgres/connection.ts";
import { defineOperation } from "../run/operation.ts";
import { versionOf } from "./assessment.ts";
import { keyProblems } from "./batch/plan-check.ts";
import { database, refuseToWithSteps, refuseUnknownVersion, steps, version } from "./input.ts";
import type { Finding } from "./lint/finding.ts";
import { lintFiles } from "./lint/lint-files.ts";
import { LiveDatabase } from "./lint/live-database.ts";
import type { Migration } from "./migration-file.ts";
import { phaseFields } from "./phase-input.ts";
import { phaseOrderProblems } from "./phase-order.ts";
import { readForeignKeys } from "./plan-foreign-keys.ts";
import { measuredSchema, newestMeasurements } from "./plan-measurements.ts";
import { plannedStatements, statementSchema, tablesOfIndexes } from "./plan-statements.ts";
import { planText } from "./plan-text.ts";
import { judge, policies, policyFields } from "./policy.ts";
import { refuseProblems } from "./problem.ts";
import { notAtomicUp } from "./run-migration.ts";
import { survey } from "./session.ts";
import { readRelations, readTableSizes } from "./test/relations.ts";

/** From where on lint takes a table for big where nothing is said: 1 GiB, or a million rows. */
const usualBigTable = { bytes: 2 ** 30, rows: 1_000_000 };

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
  findings: z
    .array(
      z.object({
        rule: z.string(),
        severity: z.enum(["error", "warning", "note"]),
        line: z.number(),
        message: z.string(),
        instead: z.string().nullable(),
        allowed: z.string().nullable().describe("Why the file allows it; null where it does not"),
      }),
    )
    .describe("What migrate.lint says, on tables as big as they are"),
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
    phase: phaseFields.phase,
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
    const pending = waiting.map((each) => each.migration);
    const { to } = input;
    const chosen = pending
      .filter((each) => input.phase === "all" || each.settings.phase === input.phase)
      .filter((each) => to === undefined || folder.compare(each.version, to) <= 0)
      .slice(0, input.steps);
    const files = await Promise.all(chosen.map(notAtomicUp));
    refuseProblems(target.name, [
      ...folder.problems,
      ...problems,
      ...files.flatMap((each) => each.problems),
      ...(await keyProblems(context, target, chosen)),
      ...(input.phase === "expand" ? await phaseOrderProblems(pending, chosen) : []),
    ]);
    if (to !== undefined) refuseUnknownVersion(to, assessment.standings.map(versionOf));
    const live = await withConnection(target, { signal: context.signal }, async (client) => ({
      sizes: await readTableSizes(client),
      tableOfIndex: tablesOfIndexes(await readRelations(client)),
      foreignKeys: await readForeignKeys(client),
      findings: await lintFiles(
        chosen.map((each) => each.up),
        {
          database: await LiveDatabase.over(client),
          big: usualBigTable,
          directory: context.environment.directory,
          shown: (file) => file.name,
          signal: context.signal,
        },
      ),
    }));
    const stored = await newestMeasurements(context, target.name, chosen);
    const migrations = [];
    const made = new Set<string>();
    for (const migration of chosen) {
      const { statements, transaction } = await plannedStatements(migration.up, live, made);
      migrations.push({
        ...described(migration),
        transaction,
        statements,
        findings: live.findings.filter((each) => each.file === migration.up.name).map(finding),
        measured: stored?.measured(migration, live.sizes) ?? null,
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

function finding({ rule, severity, line, message, instead, allowed }: Finding) {
  return { rule, severity, line, message, instead, allowed };
}

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
