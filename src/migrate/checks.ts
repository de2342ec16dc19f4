import { z } from "zod";
import { duration, name } from "../core/schema.ts";
import { type Check, defineCheck } from "../run/check.ts";
import { title } from "./migration-file.ts";
import { migrationsCheck } from "./migrations-check.ts";
import { judge, policies } from "./policy.ts";
import { refuseProblems } from "./problem.ts";
import { survey } from "./session.ts";
import { readTested } from "./tested.ts";

const migrationTested = defineCheck({
  kind: "migration-tested",
  summary: "Whether migrate test passed with exactly the migrations that are pending now",
  why: "A migration that nobody has tried is tried on production, and so is its way back.",
  remedy:
    "Run ops migrate test with the files as they are now, on a copy of the real database where it can be had.",
  input: z.strictObject({
    database: name("The database; default: the only one, or main").optional(),
    "max-age": duration("How old the test may be").prefault("7d"),
    "on-copy": z
      .boolean()
      .default(false)
      .describe("The test must have run on a copy of the real database, not only on an empty one"),
  }),

  async measure(context, input) {
    const target = context.environment.database(input.database);
    const { folder, assessment } = await survey(context, target);
    const { problems, waiting } = judge(assessment, policies({}, target));
    refuseProblems(target.name, [...folder.problems, ...problems]);
    const pending = waiting.map((each) => each.migration);
    if (pending.length === 0) return { value: true, shown: "nothing is pending", evidence: { pending: 0 } };
    const demands = { maxAge: input["max-age"], onCopy: input["on-copy"] };
    const { tested, shown, report } = await readTested(context, target.name, assessment, pending, demands);
    return {
      value: tested,
      shown: tested ? `${pending.length} pending, ${shown}` : shown,
      evidence: { pending: pending.map(title), report },
    };
  },

  judge: ({ value, shown }) => ({ status: value === true ? "pass" : "fail", reason: shown }),
});

export const checks: readonly Check[] = [migrationTested, migrationsCheck];
