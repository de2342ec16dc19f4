import pg from "pg";
import { type Migration, title } from "../migration-file.ts";
import { splitStatements } from "../statements.ts";

/** Why the verify file is not content; undefined where it is, or where there is none. It changes nothing. */
export async function verificationProblem(
  client: pg.Client,
  migration: Migration,
): Promise<string | undefined> {
  const { verify } = migration;
  if (verify === undefined) return undefined;
  await client.query("BEGIN");
  try {
    for (const { text } of await splitStatements(verify.sql, { file: verify.name })) {
      const { rowCount, command } = await client.query(text);
      if (command === "SELECT" && (rowCount ?? 0) > 0 && migration.verifyReturnsRows !== true) {
        return `${verify.name} returned ${rowCount} rows, each of which is something wrong with ${title(migration)}`;
      }
    }
    return undefined;
  } catch (error) {
    if (!(error instanceof pg.DatabaseError)) throw error;
    return `${verify.name}: ${error.message}`;
  } finally {
    await client.query("ROLLBACK");
  }
}
