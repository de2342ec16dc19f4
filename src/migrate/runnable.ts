import { OpsError } from "../core/errors.ts";
import { autocommitWords, refusesTransaction, usesNewEnumValues } from "./autocommit.ts";
import type { Problem } from "./problem.ts";
import type { SqlFile } from "./sql-file.ts";
import { placeOfIndex } from "./sql-position.ts";
import { type Statement, splitStatements } from "./statements.ts";
import { type TransactionStatement, transactionStatements, transactionWords } from "./transaction-control.ts";

/** How a file runs. */
export type Runnable =
  /** As one transaction. `sql` is as long as the file's, with a BEGIN and COMMIT around it blanked out. */
  | { readonly mode: "transaction"; readonly sql: string; readonly problems: readonly Problem[] }
  /** One statement after the other, with its place recorded. */
  | {
      readonly mode: "statements";
      readonly statements: readonly Statement[];
      readonly problems: readonly Problem[];
    };

/**
 * Decides how a file runs. Parses only what could be something else than one plain transaction.
 *
 * @param purpose `rolled-back`: always in one transaction, of somebody else; one of its own around it may end with
 * ROLLBACK, since its effects are not kept anyway
 */
export async function makeRunnable(
  file: SqlFile,
  purpose: "kept" | "rolled-back" = "kept",
): Promise<Runnable> {
  const { sql, settings, problems } = file;
  const kept = purpose === "kept";
  const none = kept && settings.transaction === "none";
  if (!none && !transactionWords.test(sql) && !autocommitWords.test(sql)) {
    return { mode: "transaction", sql, problems };
  }
  let statements: readonly Statement[];
  try {
    statements = await splitStatements(sql, { file: file.name });
  } catch (error) {
    if (!(error instanceof OpsError)) throw error;
    // As one transaction the server will say what is wrong, in its own words, and take all of it back.
    if (!none) return { mode: "transaction", sql, problems };
    const problem = { kind: "syntax", message: error.message, hint: error.hint ?? "" };
    return { mode: "statements", statements: [], problems: [...problems, problem] };
  }
  const control = transactionStatements(statements);
  const wrapped = isWrapped(statements, control, kept ? ["COMMIT"] : ["COMMIT", "ROLLBACK"]);
  const work = statements.filter((each) => !control.some((one) => one.index === each.start));
  if (none || (kept && (work.some(refusesTransaction) || usesNewEnumValues(work)))) {
    const refused = wrapped ? [] : control;
    return {
      mode: "statements",
      statements: work,
      problems: [...problems, ...controlProblems(file, refused)],
    };
  }
  if (wrapped) return { mode: "transaction", sql: blank(sql, control), problems };
  return { mode: "transaction", sql, problems: [...problems, ...controlProblems(file, control)] };
}

/** One BEGIN at the beginning, one COMMIT at the end, none in between: we do just that around a file. */
function isWrapped(
  statements: readonly Statement[],
  control: readonly TransactionStatement[],
  endings: readonly string[],
): boolean {
  const [begin, end] = control;
  return (
    control.length === 2 &&
    begin?.plain === true &&
    begin.keyword === "BEGIN" &&
    begin.index === statements[0]?.start &&
    end?.plain === true &&
    endings.includes(end.keyword) &&
    end.index === statements.at(-1)?.start
  );
}

function blank(sql: string, control: readonly TransactionStatement[]): string {
  let result = sql;
  for (const { index, end } of control) {
    result = result.slice(0, index) + " ".repeat(end - index) + result.slice(end);
  }
  return result;
}

function controlProblems(file: SqlFile, control: readonly TransactionStatement[]): Problem[] {
  return control.map(({ keyword, index }) => ({
    kind: "transaction-control",
    message: `${file.name}:${placeOfIndex(file.sql, index).position.line}: ${keyword} is not allowed in a migration`,
    hint: "remove it: each file runs in one transaction of its own, together with its record",
  }));
}
