import { z } from "zod";
import { formatDuration } from "../core/duration.ts";
import type { OperationContext } from "../run/context.ts";
import { defineOperation, type Report, type UndoResult } from "../run/operation.ts";
import { applyMigrations } from "./apply-migrations.ts";
import { transactionProblems, versionOf } from "./assessment.ts";
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
import { type Migration, readMigrationFolder, title } from "./migration-file.ts";
import { refuseProblems } from "./problem.ts";
import { type Before, findPlanned, includesVersion, type PlannedFile, ranSchema } from "./selection.ts";
import { survey, surveyInside, withMigrationSession } from "./session.ts";
import { runFile } from "./transaction.ts";
import { compareVersions } from "./version.ts";

const upInput = z.strictObject({
  database,
  to: version("Apply up to this version and with it"),
  steps: steps("Apply at most so many migrations"),
  ...lockFields,
});

export const up = defineOperation({
  name: "migrate.up",
  summary: "Apply the pending migrations, each in one transaction",
  example: "migrate up --to 0002",
  effect: "change",
  input: upInput,
  output: z.object({
    database: z.string().describe("The database"),
    applied: z.array(ranSchema).describe("What this run applied, oldest first"),
    current: z.string().nullable().describe("The newest applied version; null where there is none"),
  }),
  targets: ({ database }, environment) => [`database:${environment.database(database).name}`],
  observe: async (context, input): Promise<Before> => {
    refuseToWithSteps(input);
    const target = context.environment.database(input.database);
    const { folder, assessment } = await survey(context, target);
    const waiting = assessment.standings.flatMap((each) =>
      each.state === "pending" || each.state === "out-of-order" ? [each.migration] : [],
    );
    const { to } = input;
    const chosen = waiting
      .filter((each) => to === undefined || compareVersions(each.version, to) <= 0)
      .slice(0, input.steps);
    refuseProblems(target.name, [
      ...folder.problems,
      ...assessment.problems,
      ...chosen.flatMap((each) => transactionProblems(each.up)),
    ]);
    if (to !== undefined) refuseUnknownVersion(to, assessment.standings.map(versionOf));
    return {
      database: target.name,
      applied: assessment.standings.flatMap((each) => ("row" in each ? [each.row.version] : [])),
      planned: chosen.map(planned),
    };
  },
  plan: (before) =>
    before.planned.map((each) => ({
      target: `database:${before.database}`,
      action: "run",
      summary: `apply ${title(each)}${each.reversible ? "" : ` (no way back: ${title(each)}.down.sql is missing)`}`,
      to: each.checksum,
    })),
  apply: async (context, input, before, report) => {
    const target = context.environment.database(input.database);
    return withMigrationSession(context, target, input["lock-wait"], report, async (session) => {
      const { folder, assessment } = await surveyInside(session);
      const { found, problems } = findPlanned(before.planned, folder.migrations, "up");
      refuseProblems(target.name, [...folder.problems, ...assessment.problems, ...problems]);
      await applyMigrations(session, found, limits(input), before.planned.length);
      const history = await readHistory(session.client);
      const newestFirst = history.toSorted((a, b) => compareVersions(b.version, a.version));
      const planned = before.planned.map((each) => each.version);
      // After a crash it also holds what the earlier attempt applied, never what another run did.
      const ours = history.filter(
        (row) => includesVersion(planned, row.version) && row.runId === (context.runId ?? null),
      );
      return {
        database: target.name,
        applied: ours
          .toSorted((a, b) => compareVersions(a.version, b.version))
          .map(({ version, name, durationMs }) => ({ version, name, durationMs })),
        current: newestFirst[0]?.version ?? null,
      };
    });
  },
  undo: async (context, input, before, report) => takeBack(context, input, before, report),
  render: ({ database, applied, current }) =>
    [
      ...applied.map((each) => `applied ${title(each)} in ${formatDuration(each.durationMs)}`),
      `database ${database} is at ${current ?? "no version"}${applied.length === 0 ? ", nothing to apply" : ""}`,
    ].join("\n"),
});

function planned(migration: Migration): PlannedFile {
  return {
    version: migration.version,
    name: migration.name,
    checksum: migration.up.checksum,
    reversible: migration.down !== undefined,
  };
}

/** Takes back what this run applied, newest first; what another run applied in the meantime stays. */
async function takeBack(
  context: OperationContext,
  input: z.output<typeof upInput>,
  before: Before,
  report: Report,
): Promise<UndoResult> {
  if (before.planned.length === 0) return { undone: true };
  const target = context.environment.database(input.database);
  return withMigrationSession(context, target, input["lock-wait"], report, async (session) => {
    const history = await readHistory(session.client);
    const planned = before.planned.map((each) => each.version);
    const rows = history
      .filter((row) => includesVersion(planned, row.version) && !includesVersion(before.applied, row.version))
      .toSorted((a, b) => compareVersions(b.version, a.version));
    const ours = rows.filter((row) => row.runId === (context.runId ?? null));
    const { migrations } = await readMigrationFolder(target.migrations);
    const files = ours.map((row) => ({
      row,
      down: migrations.find((each) => each.version === row.version)?.down,
    }));
    const stuck = files
      .filter((each) => each.down === undefined)
      .map((each) => `${title(each.row)}.down.sql`);
    if (stuck.length > 0) {
      return { undone: false, note: `${stuck.join(", ")} is missing, so nothing was taken back` };
    }
    for (const { row, down } of files) {
      if (down === undefined) continue;
      report.progress({ message: `take back ${title(row)}` });
      await runFile(session, down, limits(input), () => recordTakenBack(session.client, row.version));
    }
    const others = rows.filter((row) => !ours.includes(row)).map((row) => title(row));
    if (others.length === 0) return { undone: true };
    return { undone: true, note: `${others.join(", ")} was applied by another run and stays` };
  });
}
