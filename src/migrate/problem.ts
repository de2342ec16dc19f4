import { UsageError } from "../core/errors.ts";

/** The kind of what only the other tool can run: applied it is fine, pending it is refused. */
export const notRunnable = "not-runnable";

/** Something about the files or the history that must be mended before anything runs. */
export type Problem = {
  /** Stable, for scripts: `edited`, `out-of-order`, `duplicate-version`. */
  readonly kind: string;
  readonly message: string;
  /** What to change. */
  readonly hint: string;
};

/** Throws `E_MIGRATIONS` with all problems at once, each once, where there are any. */
export function refuseProblems(database: string, all: readonly Problem[]): void {
  const problems = [...new Map(all.map((each) => [each.message, each])).values()];
  const [first] = problems;
  if (first === undefined) return;
  if (problems.length === 1) {
    throw new UsageError("E_MIGRATIONS", first.message, { hint: first.hint, details: { problems: [first] } });
  }
  const lines = problems.map((each) => `  ${each.message}\n    = ${each.hint}`);
  throw new UsageError(
    "E_MIGRATIONS",
    `The migrations of database ${database} have ${problems.length} problems:\n${lines.join("\n")}`,
    { hint: "mend them all; nothing has been run", details: { problems: [...problems] } },
  );
}
