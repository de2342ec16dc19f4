import { z } from "zod";
import { formatDuration } from "../core/duration.ts";
import type { OperationContext } from "../run/context.ts";
import { defineOperation, type Report, type UndoResult } from "../run/operation.ts";
import { applyMigrations } from "./apply-migrations.ts";
import { assess, versionOf } from "./assessment.ts";
import { takeBackHalfDone } from "./backfill-undo.ts";
import { halfDoneBackfills } from "./batch/half-done.ts";
import { keyProblems } from "./batch/plan-check.ts";
import { halfAppliedWithoutFile } from "./half-applied.ts";
import { otherDirection } from "./half-done-file.ts";
import type { BatchSettings } from "./header.ts";
import { readHistory } from "./history-table.ts";
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
import { awaitContract } from "./phase-contract.ts";
import { phaseFields, refuseIdleConditions } from "./phase-input.ts";
import { phaseOrderProblems } from "./phase-order.ts";
import { type Judgement, judge, policies, policyFields } from "./policy.ts";
import { type Problem, refuseProblems } from "./problem.ts";
import { forgetProgress, type StatementProgress } from "./progress-table.ts";
import { notAtomicUp, takeBackMigration } from "./run-migration.ts";
import { type Before, findPlanned, includesVersion, type PlannedFile, ranSchema } from "./selection.ts";
import { survey, surveyInside, withMigrationSession } from "./session.ts";
import { commitOwn } from "./sql-message.ts";
import { canonicalVersion } from "./version.ts";

const upInput = z.strictObject({
  database,
  to: version("Apply up to this version and with it"),
  steps: steps("Apply at most so many migrations"),
  ...phaseFields,
  ...policyFields,
  ...lockFields,
});

type Seen = Before & {
  /** The newest applied version. */
  readonly current: string | null;
  /** Of files that do not fit the history and are let through by policy. */
  readonly warnings: string[];
};

export const up = defineOperation({
  name: "migrate.up",
  summary: "Apply the pending migrations, each in one transaction where PostgreSQL can",
  example: "migrate up --to 0002",
  effect: "change",
  restorePoint: true,
  input: upInput,
  output: z.object({
    database: z.string().describe("The database"),
    applied: z.array(ranSchema).describe("What this run applied, oldest first"),
    current: z.string().nullable().describe("The newest applied version; null where there is none"),
    overridden: z.array(z.string()).describe("What stood against contract migrations that a reason overrode"),
  }),
  targets: ({ database }, environment) => [`database:${environment.database(database).name}`],
  observe: async (context, input): Promise<Seen> => {
    refuseToWithSteps(input);
    refuseIdleConditions(input);
    const target = context.environment.database(input.database);
    const seen = await survey(context, target);
    const { folder, assessment, halfDone, backfills } = seen;
    const { problems, warnings, waiting } = judge(assessment, policies(input, target));
    const { to } = input;
    const chosen = waiting
      .filter(({ migration }) => input.phase === "all" || migration.settings.phase === input.phase)
      .filter((each) => to === undefined || folder.compare(each.migration.version, to) <= 0)
      .slice(0, input.steps);
    const files = await Promise.all(
      chosen.map(async (standing) => ({ standing, ...(await notAtomicUp(standing.migration)) })),
    );
    const migrations = chosen.map((each) => each.migration);
    const pending = waiting.map((each) => each.migration);
    refuseProblems(target.name, [
      ...folder.problems,
      ...problems,
      ...halfAppliedWithoutFile(seen, folder),
      ...halfTakenBack(halfDone),
      ...halfDoneBackfills(backfills, "down"),
      ...files.flatMap((each) => each.problems),
      ...(await keyProblems(context, target, migrations)),
      ...(input.phase === "expand" ? await phaseOrderProblems(pending, migrations) : []),
    ]);
    if (to !== undefined) refuseUnknownVersion(to, assessment.standings.map(versionOf));
    return {
      database: target.name,
      applied: assessment.standings.flatMap((each) => ("row" in each ? [each.row.version] : [])),
      planned: files.map(({ standing, ...file }) => planned(standing, file)),
      current: assessment.current ?? null,
      warnings: warnings.map((each) => each.message),
    };
  },
  plan: (before) =>
    before.planned.map((each) => ({
      target: `database:${before.database}`,
      action: "run",
      summary: [
        `apply ${title(each)}`,
        each.reversible ? "" : ` (no way back: ${title(each)}.down.sql is missing)`,
        ...(each.notes ?? []).map((note) => ` (${note})`),
      ].join(""),
      to: each.checksum,
    })),
  unchanged: ({ database, current, warnings }) => ({
    output: { database, applied: [], current, overridden: [] },
    warnings,
  }),
  apply: async (context, input, before, report) => {
    const target = context.environment.database(input.database);
    const overridden =
      input.phase === "contract" ? await awaitContract(context, target, input, before.planned, report) : [];
    return withMigrationSession(context, target, input["lock-wait"], report, async (session) => {
      const seen = await surveyInside(session);
      const { folder, assessment, halfDone, backfills } = seen;
      const { found, problems } = findPlanned(before.planned, folder.migrations, "up");
      const judgement = judge(assessment, policies(input, target));
      refuseProblems(target.name, [
        ...folder.problems,
        ...judgement.problems,
        ...problems,
        ...halfAppliedWithoutFile(seen, folder),
        ...halfTakenBack(halfDone),
        ...halfDoneBackfills(backfills, "down"),
      ]);
      for (const each of judgement.warnings) report.log(`warning: ${each.message}`);
      await applyMigrations(session, found, limits(input), before.planned.length);
      const history = await readHistory(session.client);
      const after = assess(folder, history);
      const planned = new Set(before.planned.map((each) => canonicalVersion(each.version)));
      // After a crash it also holds what the earlier attempt applied, never what another run did.
      const ours = history.filter(
        (row) => planned.has(canonicalVersion(row.version)) && row.runId === (context.runId ?? null),
      );
      return {
        database: target.name,
        applied: ours
          .toSorted((a, b) => folder.compare(a.version, b.version))
          .map(({ version, name, durationMs }) => ({ version, name, durationMs })),
        current: after.current ?? null,
        overridden,
      };
    });
  },
  undo: async (context, input, before, report) => takeBack(context, input, before, report),
  render: ({ database, applied, current, overridden }) =>
    [
      ...overridden.map((each) => `overridden: ${each}`),
      ...applied.map((each) => `applied ${title(each)} in ${formatDuration(each.durationMs)}`),
      `database ${database} is at ${current ?? "no version"}${applied.length === 0 ? ", nothing to apply" : ""}`,
    ].join("\n"),
});

function planned(
  standing: Judgement["waiting"][number],
  { statements, batch }: { readonly statements: number; readonly batch: BatchSettings | undefined },
): PlannedFile {
  const { migration, state, previous } = standing;
  const notes = [
    ...(migration.settings.phase === "contract" ? ["contract"] : []),
    ...(batch === undefined ? [] : [`in batches of about ${batch.size} rows of ${batch.table}`]),
    ...(statements > 0 ? [`not atomic: ${statements} statements, each kept when it is done`] : []),
    ...(state === "out-of-order" ? ["out of order"] : []),
    ...(previous === undefined ? [] : ["its text has changed"]),
  ];
  return {
    version: migration.version,
    name: migration.name,
    checksum: migration.up.checksum,
    reversible: migration.down !== undefined || migration.repeatable === true,
    ...(notes.length > 0 && { notes }),
  };
}

/** A way back that has not come to its end must, before anything is built on what is left. */
function halfTakenBack(halfDone: readonly StatementProgress[]): Problem[] {
  return halfDone
    .filter((each) => each.direction === "down")
    .map((each) => {
      const { message, hint = "" } = otherDirection(each);
      return { kind: "half-done", message, hint };
    });
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
    const { folder, history, halfDone, backfills } = await surveyInside(session);
    const planned = before.planned.map((each) => each.version);
    const begun = halfDone.filter(
      (each) => each.direction === "up" && includesVersion(planned, each.version),
    );
    const half = begun.filter((each) => each.done > 0 || each.started !== null);
    if (half.length > 0) {
      const note = `${half.map((each) => otherDirection(each).message).join("; ")}, so nothing was taken back`;
      return { undone: false, note };
    }
    // Their first statement failed as a whole: there is nothing to take back.
    for (const each of begun) await commitOwn(session, forgetProgress(each.version));
    const stop = await takeBackHalfDone(session, folder, backfills, planned, limits(input));
    if (stop !== undefined) return stop;
    const rows = history
      .filter((row) => includesVersion(planned, row.version) && !includesVersion(before.applied, row.version))
      .toSorted((a, b) => folder.compare(b.version, a.version));
    const ours = rows.filter((row) => row.runId === (context.runId ?? null));
    const found = ours.map((row) => ({
      row,
      migration: folder.migrations.find((each) => each.version === row.version),
    }));
    const files = found
      .filter((each) => each.migration?.repeatable !== true)
      .map(({ row, migration }) => ({ row, down: migration?.down }));
    const stuck = files.filter((each) => each.down === undefined).map((each) => folder.wayBackFile(each.row));
    if (stuck.length > 0) {
      return { undone: false, note: `${stuck.join(", ")} is missing, so nothing was taken back` };
    }
    for (const { row, down } of files) {
      if (down === undefined) continue;
      await session.lock.confirm();
      report.progress({ message: `take back ${title(row)}` });
      await takeBackMigration(session, row, down, limits(input));
    }
    const others = rows.filter((row) => !ours.includes(row)).map((row) => title(row));
    const repeated = found.filter((each) => each.migration?.repeatable === true).map((each) => each.row);
    const notes = [
      ...(others.length === 0 ? [] : [`${others.join(", ")} was applied by another run and stays`]),
      ...(repeated.length === 0
        ? []
        : [`${repeated.map(title).join(", ")} is repeatable and stays: its way back is its next text`]),
    ];
    return notes.length === 0 ? { undone: true } : { undone: true, note: notes.join("; ") };
  });
}
