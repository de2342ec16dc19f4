import { digest } from "../core/digest.ts";
import { OpsError } from "../core/errors.ts";
import { withoutLineEnds } from "./line-ends.ts";
import { title } from "./migration-file.ts";
import { readProgress, type StatementProgress } from "./progress-table.ts";
import type { MigrationSession } from "./session.ts";
import { placeOfIndex } from "./sql-position.ts";
import type { StatementUnit } from "./statement-unit.ts";
import type { Statement } from "./statements.ts";
import { canonicalVersion } from "./version.ts";

/** The row that tells how far the file is; throws where what is done is not in the file any more. */
export async function resumeAt(session: MigrationSession, unit: StatementUnit): Promise<StatementProgress> {
  const { version, name, direction, file, statements } = unit;
  const rows = await readProgress(session.client);
  const row = rows.find((each) => canonicalVersion(each.version) === canonicalVersion(version));
  const runId = session.context.runId ?? null;
  if (row === undefined) {
    return { version, name, direction, ...doneUntil(unit, 0), started: null, runId };
  }
  if (row.direction !== direction) throw otherDirection(row);
  if (doneUntil(unit, row.done).doneChecksum !== row.doneChecksum) {
    throw changedAbove(file.name, row.done);
  }
  session.report.log(
    row.done < statements.length
      ? `${file.name}: goes on at statement ${row.done + 1} of ${statements.length}`
      : `${file.name}: its ${row.done} statements are done, only the record is missing`,
  );
  return { ...row, total: statements.length, runId };
}

/** @param done how many statements are done */
export function changedAbove(file: string, done: number): OpsError {
  return new OpsError(
    "E_MIGRATION_HALF_DONE",
    `${file} was changed above statement ${done + 1}, where it is to go on: the ${done} before are done`,
    {
      hint: "restore the statements that are done as they were; what comes after them may be changed",
      retryable: false,
    },
  );
}

export function otherDirection(row: StatementProgress): OpsError {
  const half = row.direction === "up" ? "applied" : "taken back";
  return new OpsError(
    "E_MIGRATION_HALF_DONE",
    `${title(row)} is ${half} by half: ${row.done} of ${row.total} statements are done`,
    {
      hint:
        row.started === null
          ? `finish it: ops migrate ${row.direction}; where it cannot be finished, change what is left of its file`
          : `finish it (ops migrate ${row.direction}), or settle it with: ops migrate repair --accept ${row.version}`,
      retryable: false,
    },
  );
}

export function doneUntil({ statements }: Pick<StatementUnit, "statements">, done: number) {
  const texts = statements.slice(0, done).map((each) => each.text);
  return { done, total: statements.length, doneChecksum: digest(withoutLineEnds(texts.join(";\n"))) };
}

/** Of a statement that was begun and whose end nobody knows. */
export function unclearEnd(
  { file, version, statements }: StatementUnit,
  statement: Statement,
  index: number,
): OpsError {
  const { line } = placeOfIndex(file.sql, statement.start).position;
  return new OpsError(
    "E_MIGRATION_HALF_DONE",
    `${file.name}:${line}: an earlier run ended in the middle of statement ${index + 1} of ${statements.length}, and nothing tells whether it had its effect`,
    {
      hint: `look at the database; then, where it had: ops migrate repair --accept ${version}; where it had not: ops migrate repair --retry ${version}`,
      retryable: false,
    },
  );
}
