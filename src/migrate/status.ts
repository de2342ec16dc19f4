import { z } from "zod";
import { defineOperation } from "../run/operation.ts";
import { type Standing, versionOf } from "./assessment.ts";
import { describeHalfDone } from "./batch/half-done.ts";
import type { BackfillPlace } from "./batch/place-table.ts";
import { otherDirection } from "./half-done-file.ts";
import { database } from "./input.ts";
import { refuseProblems } from "./problem.ts";
import type { StatementProgress } from "./progress-table.ts";
import { includesVersion } from "./selection.ts";
import { survey } from "./session.ts";
import { canonicalVersion } from "./version.ts";

const migrationSchema = z.object({
  version: z.string().describe("Version of the migration"),
  name: z.string().describe("Name of the migration"),
  state: z
    .enum(["applied", "pending", "edited", "missing", "out-of-order"])
    .describe(
      "edited: the file changed after it was applied; missing: applied, wholly or by half, but the file is gone; out-of-order: not applied, but older than one that is",
    ),
  appliedAt: z.string().nullable().describe("When (ISO 8601, UTC)"),
  appliedBy: z.string().nullable().describe("By whom"),
  note: z.string().nullable().describe("Why it is pending: its phase, or what of it is done already"),
});

export const status = defineOperation({
  name: "migrate.status",
  summary: "Show which migrations are applied, pending, missing or edited",
  example: "migrate status --database main",
  effect: "read",
  input: z.strictObject({ database }),
  output: z.object({
    database: z.string().describe("The database"),
    current: z.string().nullable().describe("The newest applied version; null where there is none"),
    pending: z.number().describe("How many are not applied"),
    migrations: z.array(migrationSchema).describe("Oldest first"),
  }),
  // What it shows is read when it runs, not when a plan is made: an earlier step may be a migration.
  observe: async () => null,
  plan: () => [],
  apply: async (context, input) => {
    const target = context.environment.database(input.database);
    const { folder, assessment, backfills, halfDone } = await survey(context, target);
    refuseProblems(target.name, folder.problems);
    const known = assessment.standings.map(versionOf);
    const migrations = [
      ...assessment.standings.map((each) => row(each, backfills, halfDone)),
      ...[...halfDone, ...backfills].filter((each) => !includesVersion(known, each.version)).map(withoutFile),
    ].toSorted((a, b) => folder.compare(a.version, b.version));
    return {
      database: target.name,
      current: assessment.current ?? null,
      pending: migrations.filter((each) => each.state === "pending" || each.state === "out-of-order").length,
      migrations,
    };
  },
  render: ({ database, migrations }) => {
    if (migrations.length === 0) return `database ${database} has no migrations`;
    // Names and notes are as long as people make them, so nothing stands behind them.
    const rows = migrations.map(({ version, state, appliedAt, name, note }) => ({
      cells: [version, state, appliedAt?.replace(/\.\d+Z$/, "Z") ?? "", name],
      note,
    }));
    const titles = ["VERSION", "STATE", "APPLIED", "NAME"];
    const widths = titles.map((each, index) =>
      Math.max(each.length, ...rows.map(({ cells }) => cells[index]?.length ?? 0)),
    );
    const line = (cells: readonly string[]) =>
      cells
        .map((each, index) => each.padEnd(widths[index] ?? 0))
        .join("  ")
        .trimEnd();
    return [
      line(titles),
      ...rows.flatMap(({ cells, note }) => [line(cells), ...(note === null ? [] : [`  ${note}`])]),
    ].join("\n");
  },
});

function row(
  standing: Standing,
  backfills: readonly BackfillPlace[],
  halfDone: readonly StatementProgress[],
): z.output<typeof migrationSchema> {
  const { version, name } = "row" in standing ? standing.row : standing.migration;
  const place = backfills.find((each) => isSame(each.version, version));
  const half = halfDone.find((each) => isSame(each.version, version));
  const phase = "row" in standing ? undefined : standing.migration.settings.phase;
  const notes = [
    ...(phase === "contract" ? ["phase contract"] : []),
    ...(place === undefined
      ? []
      : [`${place.state === "paused" ? "paused, " : ""}${describeHalfDone(place)}`]),
    ...(half === undefined ? [] : [otherDirection(half).message]),
  ];
  const note = notes.length === 0 ? null : notes.join("; ");
  if (!("row" in standing))
    return { version, name, state: standing.state, appliedAt: null, appliedBy: null, note };
  const { appliedAt, appliedBy } = standing.row;
  return { version, name, state: standing.state, appliedAt, appliedBy, note };
}

/** Begun, not recorded, and its file is gone. */
function withoutFile(place: StatementProgress | BackfillPlace): z.output<typeof migrationSchema> {
  const { version, name } = place;
  const note = "position" in place ? describeHalfDone(place) : otherDirection(place).message;
  return { version, name, state: "missing", appliedAt: null, appliedBy: null, note };
}

function isSame(a: string, b: string): boolean {
  return canonicalVersion(a) === canonicalVersion(b);
}
