import { z } from "zod";
import { withConnection } from "../postgres/connection.ts";
import { defineOperation } from "../run/operation.ts";
import { readForeignHistory } from "./foreign-history.ts";
import { database, lockFields } from "./input.ts";
import { type MarksBefore, marking, markOf } from "./marking.ts";
import { readMigrationFolder } from "./migration-file.ts";
import { policies, policyFields } from "./policy.ts";
import { refuseProblems } from "./problem.ts";
import { survey } from "./session.ts";
import { canonicalVersion } from "./version.ts";

export const adopt = defineOperation({
  ...marking("adopt"),
  name: "migrate.adopt",
  summary: "Take over the history of another migration tool; its files stay as they are and nothing runs",
  example: "migrate adopt --from dbmate",
  input: z.strictObject({
    from: z
      .enum(["dbmate", "golang-migrate", "goose", "diesel", "flyway", "node-pg-migrate", "sqitch"])
      .describe("The tool that has run the migrations until now"),
    database,
    table: z
      .string()
      .min(1)
      .optional()
      .describe("Its table, where that is not the tool's usual one: SCHEMA.TABLE"),
    missing: policyFields.missing,
    "lock-wait": lockFields["lock-wait"],
  }),
  observe: async (context, input): Promise<MarksBefore> => {
    const target = context.environment.database(input.database);
    const folder = await readMigrationFolder(target.migrations, input.from, target.migrationsPlaceholders);
    const rows = await withConnection(target, { signal: context.signal }, (client) =>
      readForeignHistory(client, input.from, input.table, folder),
    );
    const files = new Map(folder.migrations.map((each) => [canonicalVersion(each.version), each]));
    const gone = rows.filter((row) => !files.has(canonicalVersion(row.version)));
    const strict = policies(input, target).missing === "error";
    // Read as it will be read from now on: another form would have other versions.
    const { folder: later, history } = await survey(context, target);
    const sameForm =
      later.format === folder.format || (later.format === "ops" && input.from === "golang-migrate");
    refuseProblems(target.name, [
      ...folder.problems,
      ...(strict ? gone : []).map(({ version }) => ({
        kind: "missing",
        message: `Version ${version} is applied, as ${input.from} says, but has no file`,
        hint: "restore the file, or leave that version out: --missing ignore",
      })),
      ...(sameForm
        ? []
        : [
            {
              kind: "format",
              message: `${later.directory} looks like a folder of ${later.format}, not of ${input.from}`,
              hint: `set migrations-format: ${input.from} for the database in .opsrc`,
            },
          ]),
    ]);
    const known = new Set(history.map((row) => canonicalVersion(row.version)));
    const applied = new Map(rows.map((row) => [canonicalVersion(row.version), row]));
    const marks = folder.migrations.flatMap((each) => {
      const row = applied.get(canonicalVersion(each.version));
      if (row === undefined || known.has(canonicalVersion(each.version))) return [];
      return [{ ...markOf(each), appliedAt: row.at, appliedBy: row.by }];
    });
    return { database: target.name, marks };
  },
});
