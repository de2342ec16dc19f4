import { z } from "zod";
import { formatDuration, parseDuration } from "../core/duration.ts";
import { duration, name } from "../core/schema.ts";
import { type Check, defineCheck } from "../run/check.ts";
import { type Migration, title } from "./migration-file.ts";
import { judge, policies } from "./policy.ts";
import { refuseProblems } from "./problem.ts";
import type { MigrationTestReport } from "./report.ts";
import { coverage, readReports } from "./report-folder.ts";
import { survey } from "./session.ts";

/** Clocks of two machines may differ a little. */
const clockTolerance = parseDuration("5m");

const migrationTested = defineCheck({
  kind: "migration-tested",
  summary: "Whether migrate test passed with exactly the migrations that are pending now",
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
    const applied = assessment.standings.flatMap((each) =>
      each.state === "applied" || each.state === "edited" ? [each.migration] : [],
    );
    if (pending.length === 0) return { value: true, shown: "nothing is pending", evidence: { pending: 0 } };
    const test = "run: ops migrate test";
    const answer = (value: boolean, shown: string, path: string | null) => ({
      value,
      shown,
      evidence: { pending: pending.map(title), report: path },
    });
    const reports = (await readReports(context, target.name)).map((each) => ({
      ...each,
      ...coverage(each.report, pending, applied),
    }));
    const [newest] = reports;
    if (newest === undefined) {
      return answer(false, `never tested: ${pending.map(title).join(", ")}; ${test}`, null);
    }
    const covering = reports.find((each) => each.untested.length + each.strange.length === 0);
    if (covering === undefined) {
      return answer(false, `${uncovered(newest)} ${test}`, newest.path);
    }
    const { report, path } = covering;
    const failed = pending.filter((each) => !passed(report, each));
    if (failed.length > 0) {
      return answer(false, `their test failed: ${failed.map(title).join(", ")}; see ${path}`, path);
    }
    if (input["on-copy"] && !report.passes.some((each) => each.from === "copy")) {
      return answer(false, `only an empty database was tested; ${test} --from-backup latest`, path);
    }
    const age = context.clock.now().getTime() - Date.parse(report.finishedAt);
    if (age > input["max-age"]) {
      const limit = formatDuration(input["max-age"]);
      return answer(false, `the test is ${formatDuration(age)} old, more than ${limit}; ${test}`, path);
    }
    if (age < -clockTolerance) {
      return answer(false, `the test is ${formatDuration(-age)} in the future: clocks differ; ${test}`, path);
    }
    const shown = `${pending.length} pending, tested ${formatDuration(Math.max(0, age))} ago`;
    return answer(true, shown, path);
  },

  judge: ({ value, shown }) => ({ status: value === true ? "pass" : "fail", reason: shown }),
});

/** Wherever it was tested. An old migration that fails does not bar the way of a new one. */
function passed(report: MigrationTestReport, { version }: Migration): boolean {
  return report.passes.every((pass) =>
    pass.migrations.every((each) => each.version !== version || each.verdict === "pass"),
  );
}

function uncovered({ untested, strange }: ReturnType<typeof coverage>): string {
  const parts = [
    ...(untested.length > 0 ? [`not tested as the files are now: ${untested.map(title).join(", ")};`] : []),
    ...(strange.length > 0
      ? [`the newest test had ${strange.join(", ")}, which is neither pending nor applied;`]
      : []),
  ];
  return parts.join(" ");
}

export const checks: readonly Check[] = [migrationTested];
