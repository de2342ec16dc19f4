import type pg from "pg";
import { OpsError } from "../../core/errors.ts";
import type { Migration } from "../migration-file.ts";
import { verificationOf } from "../run-migration.ts";
import { runVerification, verifyInside } from "../transaction.ts";

/**
 * Why the verify file is not content, found as `up` finds it; undefined where it is, or where there is none. It changes
 * nothing.
 *
 * @param where whether the transaction that made the migration is open still
 */
export async function verificationProblem(
  client: pg.Client,
  migration: Migration,
  where: "inside" | "outside",
): Promise<string | undefined> {
  const verification = await verificationOf(migration);
  if (verification === undefined) return undefined;
  const [problem] = verification.problems;
  if (problem !== undefined) return problem.message;
  try {
    await (where === "inside" ? verifyInside : runVerification)({ client }, verification);
    return undefined;
  } catch (error) {
    if (!(error instanceof OpsError) || !/^E_MIGRATION/.test(error.code)) throw error;
    return error.message;
  }
}
