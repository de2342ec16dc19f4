import pg from "pg";
import { isOutsideState } from "./machine-failure.ts";

/**
 * Questions of the user: each holds where the first column of its first row is true. One that fails to run does not.
 * Throws where the server lacks space or memory, or is gone: then nothing was answered.
 */
export async function held(
  client: pg.Client,
  checks: readonly string[],
): Promise<{ sql: string; passed: boolean }[]> {
  const results: { sql: string; passed: boolean }[] = [];
  for (const sql of checks) {
    const passed = await client
      .query({ text: sql, rowMode: "array" })
      .then(({ rows }) => (rows as unknown[][])[0]?.[0] === true)
      .catch((error: unknown) => {
        if (error instanceof pg.DatabaseError && !isOutsideState(error.code)) return false;
        throw error;
      });
    results.push({ sql, passed });
  }
  return results;
}

/** The first few reasons, and how many more there are. */
export function shortened(reasons: readonly string[]): string {
  const shown = reasons.slice(0, 5).join("; ");
  return reasons.length > 5 ? `${shown}; and ${reasons.length - 5} more` : shown;
}
