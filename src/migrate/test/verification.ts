import pg from "pg";
import { type Migration, title } from "../migration-file.ts";
import { verificationOf } from "../run-migration.ts";
import { splitStatements } from "../statements.ts";

/** Why the verify file is not content; undefined where it is, or where there is none. It changes nothing. */
export async function verificationProblem(
  client: pg.Client,
  migration: Migration,
): Promise<string | undefined> {
  const verification = await verificationOf(migration);
  if (verification === undefined) return undefined;
  const { file, sql, returnsRows, problems } = verification;
  const [problem] = problems;
  if (problem !== undefined) return problem.message;
  await client.query("BEGIN");
  try {
    for (const { text } of await splitStatements(sql, { file: file.name })) {
      const { rows } = await client.query(text);
      if (rows.length > 0 && !returnsRows) {
        return `${file.name} returned ${rows.length} rows, each of which is something wrong with ${title(migration)}`;
      }
    }
    return undefined;
  } catch (error) {
    if (!(error instanceof pg.DatabaseError)) throw error;
    return `${file.name}: ${error.message}`;
  } finally {
    await client.query("ROLLBACK");
  }
}
