import { z } from "zod";
import { formatDuration } from "../core/duration.ts";
import { defineOperation } from "../run/operation.ts";
import { applyMigrations } from "./apply-migrations.ts";
import { halfApplied } from "./half-applied.ts";
import { database, limits, lockFields, steps } from "./input.ts";
import { title } from "./migration-file.ts";
import { refuseProblems } from "./problem.ts";
import { notAtomic, notAtomicUp, takeBackMigration } from "./run-migration.ts";
import { type Before, findPlanned, includesVersion, ranSchema } from "./selection.ts";
import { survey, surveyInside, withMigrationSession } from "./session.ts";
import { canonicalVersion } from "./version.ts";

export const redo = defineOperation({
  name: "migrate.redo",
  summary: "Take back the newest migrations and apply them again, as their files now are",
  example: "migrate redo --steps 1",
  effect: "destroy",
  input: z.strictObject({
    database,
    steps: steps("Redo so many migrations; default: 1"),
    ...lockFields,
  }),
  output: z.object({
    database: z.string().describe("The database"),
    redone: z.array(ranSchema).describe("What was applied again, oldest first"),
  }),
  targets: ({ database }, environment) => [`database:${environment.database(database).name}`],
  observe: async (context, input): Promise<Before> => {
    const target = context.environment.database(input.database);
    const { folder, assessment, halfDone, backfills } = await survey(context, target);
    const applied = assessment.standings.filter(
      (each) => "row" in each && !("migration" in each && each.migration.repeatable),
    );
    const chosen = applied.toReversed().slice(0, input.steps ?? 1);
    const problems = await Promise.all(
      chosen.map(async (each) => {
        if (!("migration" in each) || each.migration.down === undefined) {
          const row = "row" in each ? each.row : each.migration;
          const file = folder.wayBackFile(row);
          const message = `${title(row)} cannot be taken back: ${file} is missing`;
          return [{ kind: "missing-down", message, hint: `write ${file}` }];
        }
        const both = await Promise.all([notAtomic(each.migration.down), notAtomicUp(each.migration)]);
        return both.flatMap((file) => file.problems);
      }),
    );
    refuseProblems(target.name, [
      ...folder.problems,
      ...(chosen.length > 0 ? halfApplied(halfDone, backfills) : []),
      ...problems.flat(),
    ]);
    return {
      database: target.name,
      applied: applied.flatMap((each) => ("row" in each ? [each.row.version] : [])),
      planned: chosen.flatMap((each) =>
        "migration" in each
          ? [
              {
                version: each.migration.version,
                name: each.migration.name,
                checksum: each.migration.up.checksum,
                reversible: true,
              },
            ]
          : [],
      ),
    };
  },
  plan: (before) =>
    before.planned.map((each) => ({
      target: `database:${before.database}`,
      action: "run",
      summary: `take back ${title(each)} and apply it again`,
      to: each.checksum,
    })),
  apply: async (context, input, before, report) => {
    const target = context.environment.database(input.database);
    return withMigrationSession(context, target, input["lock-wait"], report, async (session) => {
      const { folder, history, halfDone, backfills } = await surveyInside(session);
      const { found, problems } = findPlanned(before.planned, folder.migrations, "up");
      // The checkpoint tells an attempt after a crash that the rows it sees are those of the way there.
      const wayThere = report.last === takenBack;
      // What is half applied then is its own, and goes on.
      const half = wayThere || found.length === 0 ? [] : halfApplied(halfDone, backfills);
      refuseProblems(target.name, [...folder.problems, ...half, ...problems]);
      if (!wayThere) {
        const rows = new Map(history.map((row) => [canonicalVersion(row.version), row]));
        for (const { version, name, down } of found) {
          const row = rows.get(canonicalVersion(version));
          if (row === undefined || down === undefined) continue;
          context.safePoint();
          await session.lock.confirm();
          report.progress({ message: `take back ${title({ version, name })}` });
          await takeBackMigration(session, row, down, limits(input));
        }
        await report.checkpoint(takenBack);
      }
      const oldestFirst = found.toReversed();
      await applyMigrations(session, oldestFirst, limits(input), oldestFirst.length);
      const after = (await surveyInside(session)).history;
      const redone = after.filter((row) =>
        includesVersion(
          found.map((each) => each.version),
          row.version,
        ),
      );
      return {
        database: target.name,
        redone: redone
          .toSorted((a, b) => folder.compare(a.version, b.version))
          .map(({ version, name, durationMs }) => ({ version, name, durationMs })),
      };
    });
  },
  undo: async (context, input, before, report) => {
    const target = context.environment.database(input.database);
    return withMigrationSession(context, target, input["lock-wait"], report, async (session) => {
      const { folder } = await surveyInside(session);
      const again = folder.migrations.filter((each) =>
        before.planned.some((one) => one.version === each.version),
      );
      if (again.length < before.planned.length) {
        return { undone: false, note: "a migration that was taken back has no file any more" };
      }
      await applyMigrations(session, again, limits(input), again.length);
      return { undone: true, note: "all of them are applied; rows that a way down deleted are not back" };
    });
  },
  render: ({ redone }) =>
    redone.length === 0
      ? "nothing to redo"
      : redone.map((each) => `redid ${title(each)} in ${formatDuration(each.durationMs)}`).join("\n"),
});

const takenBack = "taken back";
