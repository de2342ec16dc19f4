import { z } from "zod";
import { formatDuration } from "../core/duration.ts";
import { defineOperation } from "../run/operation.ts";
import { applyMigrations } from "./apply-migrations.ts";
import { type Standing, transactionProblems, versionOf } from "./assessment.ts";
import { readHistory, recordTakenBack } from "./history-table.ts";
import {
  database,
  limits,
  lockFields,
  refuseToWithSteps,
  refuseUnknownVersion,
  steps,
  version,
} from "./input.ts";
import { title } from "./migration-file.ts";
import { type Problem, refuseProblems } from "./problem.ts";
import { type Before, findPlanned, includesVersion, type Ran, ranSchema } from "./selection.ts";
import { survey, surveyInside, withMigrationSession } from "./session.ts";
import { runFile } from "./transaction.ts";
import { canonicalVersion, compareVersions } from "./version.ts";

export const down = defineOperation({
  name: "migrate.down",
  summary: "Take back applied migrations, newest first",
  example: "migrate down --steps 1",
  effect: "destroy",
  input: z.strictObject({
    database,
    to: version("Take back everything newer than this version, which stays; 0 takes back everything"),
    steps: steps("Take back so many migrations; default: 1"),
    ...lockFields,
  }),
  output: z.object({
    database: z.string().describe("The database"),
    takenBack: z.array(ranSchema).describe("What this attempt took back, newest first"),
    current: z.string().nullable().describe("The newest version left; null where there is none"),
  }),
  targets: ({ database }, environment) => [`database:${environment.database(database).name}`],
  observe: async (context, input): Promise<Before> => {
    refuseToWithSteps(input);
    const target = context.environment.database(input.database);
    const { folder, assessment } = await survey(context, target);
    const applied = assessment.standings.filter((each) => "row" in each);
    const { to } = input;
    if (to !== undefined && canonicalVersion(to) !== "0") refuseUnknownVersion(to, applied.map(versionOf));
    const newestFirst = applied.toReversed();
    const chosen =
      to === undefined
        ? newestFirst.slice(0, input.steps ?? 1)
        : newestFirst.filter((each) => compareVersions(versionOf(each), to) > 0);
    const problems = chosen.flatMap(obstacles);
    refuseProblems(target.name, [...folder.problems, ...problems]);
    return {
      database: target.name,
      applied: applied.map(versionOf),
      planned: chosen.flatMap((each) => {
        if (!("migration" in each) || each.migration.down === undefined) return [];
        const { version, name, down } = each.migration;
        return [{ version, name, checksum: down.checksum, reversible: true }];
      }),
    };
  },
  plan: (before) =>
    before.planned.map((each) => ({
      target: `database:${before.database}`,
      action: "run",
      summary: `take back ${title(each)}`,
      to: each.checksum,
    })),
  apply: async (context, input, before, report) => {
    const target = context.environment.database(input.database);
    return withMigrationSession(context, target, input["lock-wait"], report, async (session) => {
      const { folder, assessment } = await surveyInside(session);
      const { found, problems } = findPlanned(before.planned, folder.migrations, "down");
      const applied = assessment.standings.flatMap((each) => ("row" in each ? [each.row.version] : []));
      refuseProblems(target.name, [...folder.problems, ...problems, ...newcomers(before, applied)]);
      const takenBack: Ran[] = [];
      for (const { version, name, down } of found) {
        if (down === undefined || !includesVersion(applied, version)) continue;
        context.safePoint();
        report.progress({
          message: `take back ${title({ version, name })}`,
          done: takenBack.length,
          total: found.length,
        });
        await runFile(session, down, limits(input), async (durationMs) => {
          await recordTakenBack(session.client, version);
          takenBack.push({ version, name, durationMs: Math.round(durationMs) });
        });
      }
      const left = await readHistory(session.client);
      const newestFirst = left.toSorted((a, b) => compareVersions(b.version, a.version));
      return { database: target.name, takenBack, current: newestFirst[0]?.version ?? null };
    });
  },
  undo: async (context, input, before, report) => {
    const target = context.environment.database(input.database);
    return withMigrationSession(context, target, input["lock-wait"], report, async (session) => {
      const { folder, assessment } = await surveyInside(session);
      const gone = before.planned.filter(
        (each) => !assessment.standings.some((one) => "row" in one && versionOf(one) === each.version),
      );
      const again = folder.migrations.filter((each) => gone.some((one) => one.version === each.version));
      if (again.length < gone.length) {
        return { undone: false, note: "a migration that was taken back has no file any more" };
      }
      await applyMigrations(session, again, limits(input), again.length);
      if (again.length === 0) return { undone: true };
      return {
        undone: true,
        note: `${again.map(title).join(", ")} applied again; rows that the way down deleted are not back`,
      };
    });
  },
  render: ({ database, takenBack, current }) =>
    [
      ...takenBack.map((each) => `took back ${title(each)} in ${formatDuration(each.durationMs)}`),
      `database ${database} is at ${current ?? "no version"}${takenBack.length === 0 ? ", nothing to take back" : ""}`,
    ].join("\n"),
});

/** Why an applied migration cannot be taken back. */
function obstacles(standing: Standing): Problem[] {
  if (!("row" in standing)) return [];
  const { row } = standing;
  if (standing.state === "missing" || standing.migration.down === undefined) {
    return [
      {
        kind: "missing-down",
        message: `${title(row)} cannot be taken back: ${title(row)}.down.sql is missing`,
        hint: `write ${title(row)}.down.sql`,
      },
    ];
  }
  return transactionProblems(standing.migration.down);
}

/** What was applied after the plan was made would lose the ground it stands on. */
function newcomers(before: Before, applied: readonly string[]): Problem[] {
  return applied
    .filter((version) => !includesVersion(before.applied, version))
    .map((version) => ({
      kind: "changed-since-plan",
      message: `Version ${version} was applied after the plan was made`,
      hint: "plan again",
    }));
}
