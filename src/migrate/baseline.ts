import { z } from "zod";
import { UsageError } from "../core/errors.ts";
import { defineOperation } from "../run/operation.ts";
import { database, lockFields, refuseUnknownVersion } from "./input.ts";
import { type MarksBefore, marking, markOf } from "./marking.ts";
import { refuseProblems } from "./problem.ts";
import { survey } from "./session.ts";

export const baseline = defineOperation({
  ...marking("baseline"),
  name: "migrate.baseline",
  summary: "Take the migrations up to a version for applied, in a database that has no history",
  example: "migrate baseline 0012",
  input: z.strictObject({
    version: z
      .union([z.string().regex(/^\S+$/, "must be a version"), z.number().int().nonnegative()])
      .transform(String)
      .describe("The newest version whose work the database already holds"),
    database,
    "lock-wait": lockFields["lock-wait"],
  }),
  positional: ["version"],
  observe: async (context, input): Promise<MarksBefore> => {
    const target = context.environment.database(input.database);
    const { folder, history } = await survey(context, target);
    refuseProblems(target.name, folder.problems);
    if (history.length > 0) {
      throw new UsageError(
        "E_MIGRATION_HISTORY",
        `Database ${target.name} already has a history (${history.length} applied)`,
        { hint: "see it with: ops migrate status" },
      );
    }
    const versioned = folder.migrations.filter((each) => each.repeatable !== true);
    refuseUnknownVersion(
      input.version,
      versioned.map((each) => each.version),
    );
    const marks = versioned.filter((each) => folder.compare(each.version, input.version) <= 0).map(markOf);
    return { database: target.name, marks };
  },
});
