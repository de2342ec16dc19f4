import { z } from "zod";
import { formatDuration } from "../core/duration.ts";
import { defineOperation } from "../run/operation.ts";
import { applyMigrations } from "./apply-migrations.ts";
import { assess, type Standing, versionOf } from "./assessment.ts";
import { describeHalfDone } from "./batch/half-done.ts";
import { halfApplied } from "./half-applied.ts";
import { ensureHistoryTable, readHistory } from "./history-table.ts";
import {
  database,
  limits,
  lockFields,
  refuseToWithSteps,
  refuseUnknownVersion,
  steps,
  version,
} from "./input.ts";
import { type MigrationFolder, title } from "./migration-file.ts";
import { type Problem, refuseProblems } from "./problem.ts";
import { notAtomic, takeBackMigration } from "./run-migration.ts";
import {
  type Before,
  findPlanned,
  includesVersion,
  type PlannedFile,
  type Ran,
  ranSchema,
} from "./selection.ts";
import { survey, surveyInside, withMigrationSession } from "./session.ts";
import { canonicalVersion } from "./version.ts";

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
    const { folder, assessment, halfDone, backfills } = await survey(context, target);
    const applied = assessment.standings.filter(canBeTakenBack);
    const { to } = input;
    if (to !== undefined && canonicalVersion(to) !== "0") refuseUnknownVersion(to, applied.map(versionOf));
    const newestFirst = applied.toReversed();
    const chosen =
      to === undefined
        ? newestFirst.slice(0, input.steps ?? 1)
        : newestFirst.filter(
            (each) => canonicalVersion(to) === "0" || folder.compare(versionOf(each), to) > 0,
          );
    const planned: PlannedFile[] = [];
    const problems: Problem[] = chosen.length > 0 ? halfApplied(halfDone, backfills) : [];
    for (const standing of chosen) {
      const down = "migration" in standing ? standing.migration.down : undefined;
      if (!("migration" in standing) || down === undefined) {
        problems.push(noWayBack(standing, folder));
        continue;
      }
      const { version, name } = standing.migration;
      const { statements, batch, problems: own } = await notAtomic(down);
      problems.push(...own);
      const notes =
        batch === undefined
          ? statements > 0 && [`not atomic: ${statements} statements, each kept when it is done`]
          : [`in batches of about ${batch.size} rows of ${batch.table}`];
      planned.push({ version, name, checksum: down.checksum, reversible: true, ...(notes && { notes }) });
    }
    refuseProblems(target.name, [...folder.problems, ...problems]);
    return { database: target.name, applied: applied.map(versionOf), planned };
  },
  plan: (before) =>
    before.planned.map((each) => ({
      target: `database:${before.database}`,
      action: "run",
      summary: [`take back ${title(each)}`, ...(each.notes ?? []).map((note) => ` (${note})`)].join(""),
      to: each.checksum,
    })),
  apply: async (context, input, before, report) => {
    const target = context.environment.database(input.database);
    return withMigrationSession(context, target, input["lock-wait"], report, async (session) => {
      await ensureHistoryTable(session.client);
      const { folder, assessment, history } = await surveyInside(session);
      const { found, problems } = findPlanned(before.planned, folder.migrations, "down");
      const applied = assessment.standings.filter(canBeTakenBack).map(versionOf);
      refuseProblems(target.name, [...folder.problems, ...problems, ...newcomers(before, applied)]);
      const takenBack: Ran[] = [];
      const rows = new Map(history.map((row) => [canonicalVersion(row.version), row]));
      for (const { version, name, down } of found) {
        const row = rows.get(canonicalVersion(version));
        if (down === undefined || row === undefined) continue;
        context.safePoint();
        await session.lock.confirm();
        report.progress({
          message: `take back ${title({ version, name })}`,
          done: takenBack.length,
          total: found.length,
        });
        const durationMs = await takeBackMigration(session, row, down, limits(input));
        takenBack.push({ version, name, durationMs: Math.round(durationMs) });
      }
      const { current } = assess(folder, await readHistory(session.client));
      return { database: target.name, takenBack, current: current ?? null };
    });
  },
  undo: async (context, input, before, report) => {
    const target = context.environment.database(input.database);
    return withMigrationSession(context, target, input["lock-wait"], report, async (session) => {
      const { folder, assessment, backfills } = await surveyInside(session);
      const half = backfills.filter((each) => each.direction === "down");
      if (half.length > 0) return { undone: false, note: half.map(describeHalfDone).join("; ") };
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

/** A repeatable migration has no way back: the next text of it is. */
function canBeTakenBack(standing: Standing): standing is Extract<Standing, { row: unknown }> {
  return "row" in standing && !("migration" in standing && standing.migration.repeatable);
}

function noWayBack(standing: Extract<Standing, { row: unknown }>, folder: MigrationFolder): Problem {
  const file = folder.wayBackFile(standing.row);
  return {
    kind: "missing-down",
    message: `${title(standing.row)} cannot be taken back: ${file} is missing`,
    hint: `write ${file}`,
  };
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
