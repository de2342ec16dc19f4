import { z } from "zod";
import { OpsError } from "../core/errors.ts";
import { withConnection } from "../postgres/connection.ts";
import { defineOperation } from "../run/operation.ts";
import { database } from "./input.ts";
import { title } from "./migration-file.ts";
import { refuseProblems } from "./problem.ts";
import { verificationOf } from "./run-migration.ts";
import { survey } from "./session.ts";
import { runVerification } from "./transaction.ts";

export const verify = defineOperation({
  name: "migrate.verify",
  summary: "Run the verify files of the applied migrations; nothing of it is kept",
  example: "migrate verify",
  effect: "read",
  input: z.strictObject({ database }),
  output: z.object({
    database: z.string().describe("The database"),
    verified: z
      .array(
        z.object({
          version: z.string().describe("Version of the migration"),
          name: z.string().describe("Name of the migration"),
          failure: z.string().nullable().describe("What is wrong; null where nothing is"),
        }),
      )
      .describe("Applied migrations that have a verify file, oldest first"),
    failed: z.number().describe("How many of them are wrong"),
  }),
  observe: async () => null,
  plan: () => [],
  apply: async (context, input, _, report) => {
    const target = context.environment.database(input.database);
    const { folder, assessment } = await survey(context, target);
    refuseProblems(target.name, folder.problems);
    const applied = assessment.standings.flatMap((each) =>
      "row" in each && "migration" in each && each.migration.verify !== undefined ? [each.migration] : [],
    );
    const verifications = await Promise.all(applied.map(verificationOf));
    refuseProblems(
      target.name,
      verifications.flatMap((each) => each?.problems ?? []),
    );
    return withConnection(target, { signal: context.signal }, async (client) => {
      const verified: { version: string; name: string; failure: string | null }[] = [];
      for (const [index, migration] of applied.entries()) {
        const verification = verifications[index];
        if (verification === undefined) continue;
        const { version, name } = migration;
        report.progress({
          message: `verify ${title(migration)}`,
          done: verified.length,
          total: applied.length,
        });
        try {
          await runVerification({ client }, verification);
          verified.push({ version, name, failure: null });
        } catch (error) {
          if (!(error instanceof OpsError) || error.code !== "E_MIGRATION_VERIFY") throw error;
          verified.push({ version, name, failure: error.message });
        }
      }
      const failed = verified.filter((each) => each.failure !== null).length;
      return { database: target.name, verified, failed };
    });
  },
  failure: ({ database, verified, failed }) =>
    failed === 0
      ? undefined
      : new OpsError(
          "E_MIGRATION_VERIFY",
          `${failed} of ${verified.length} migrations of database ${database} do not hold what they should`,
          { hint: "see what was changed since: ops migrate drift", retryable: false },
        ),
  render: ({ database, verified }) =>
    verified.length === 0
      ? `no applied migration of database ${database} has a verify file`
      : verified
          .map(
            (each) =>
              `${each.failure === null ? "ok    " : "failed"}  ${title(each)}${each.failure === null ? "" : `\n${each.failure}`}`,
          )
          .join("\n"),
});
