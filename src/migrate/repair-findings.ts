import type { Assessment } from "./assessment.ts";
import { changedAbove, doneUntil, otherDirection } from "./half-done-file.ts";
import { type Attribution, type HistoryRow, literals, logLine, recordTakenBack } from "./history-table.ts";
import { forgetProgress, recordProgress, type StatementProgress } from "./progress-table.ts";
import { makeRunnable } from "./runnable.ts";
import { includesVersion } from "./selection.ts";
import { canonicalVersion } from "./version.ts";

/** A record that does not fit the files. */
export type Finding = {
  version: string;
  name: string;
  kind: "edited" | "missing" | "half-done";
  message: string;
};

export function findings({ standings }: Assessment, halfDone: readonly StatementProgress[]): Finding[] {
  return [
    ...standings.flatMap((each): Finding[] => {
      if (each.state !== "edited" && each.state !== "missing") return [];
      const { version, name } = each.row;
      const message =
        each.state === "edited"
          ? `${each.migration.up.name} was changed after it was applied`
          : "it is applied but has no file";
      return [{ version, name, kind: each.state, message }];
    }),
    ...halfDone.map((each): Finding => {
      const { version, name } = each;
      return { version, name, kind: "half-done", message: otherDirection(each).message };
    }),
  ];
}

/** SQL that settles what is named. */
export async function settleSql(
  { standings }: Assessment,
  halfDone: readonly StatementProgress[],
  named: { readonly accept: readonly string[]; readonly retry: readonly string[] },
  by: Attribution,
): Promise<string[]> {
  const sql: string[] = [];
  for (const each of standings) {
    if (!("row" in each) || !includesVersion(named.accept, each.row.version)) continue;
    if (each.state === "missing") sql.push(recordTakenBack(each.row, by, 0, "forget"));
    if (each.state === "edited") {
      const { checksum } = each.migration.up;
      sql.push(
        `UPDATE ops.migration SET checksum = ${literals(checksum)} WHERE version = ${literals(each.row.version)};`,
        logLine("repair", { ...each.row, checksum }, by, null),
      );
    }
  }
  for (const place of halfDone) {
    if (includesVersion(named.retry, place.version)) sql.push(recordProgress({ ...place, started: null }));
    if (!includesVersion(named.accept, place.version)) continue;
    const standing = standings.find(
      (each) =>
        "migration" in each && canonicalVersion(each.migration.version) === canonicalVersion(place.version),
    );
    const migration = standing !== undefined && "migration" in standing ? standing.migration : undefined;
    const file = place.direction === "up" ? migration?.up : migration?.down;
    if (file === undefined) {
      sql.push(forgetProgress(place.version), logLine("forget", { ...place, checksum: "" }, by, null));
      continue;
    }
    const runnable = await makeRunnable(file);
    const statements = runnable.mode === "statements" ? runnable.statements : [];
    // By its number alone a statement that stands elsewhere now would be taken for one that is done.
    if (doneUntil({ statements }, place.done).doneChecksum !== place.doneChecksum)
      throw changedAbove(file.name, place.done);
    const done = Math.min(place.done + (place.started === null ? 0 : 1), statements.length);
    sql.push(recordProgress({ ...place, ...doneUntil({ statements }, done), started: null }));
  }
  return sql;
}

/** SQL that puts rows back as they were. */
export function restoreSql(
  rows: readonly HistoryRow[],
  progress: readonly StatementProgress[],
  by: Attribution,
): string[] {
  return [
    ...rows.flatMap((row) => [
      `INSERT INTO ops.migration (version, name, checksum, applied_at, applied_by, run_id, duration_ms)
VALUES (${literals(row.version, row.name, row.checksum, row.appliedAt, row.appliedBy, row.runId, row.durationMs)})
ON CONFLICT (version) DO UPDATE SET checksum = excluded.checksum;`,
      logLine("repair", row, by, null),
    ]),
    ...progress.map(recordProgress),
  ];
}
