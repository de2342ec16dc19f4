import type { DatabaseTarget } from "../config/environment.ts";
import { connectionEnvironment, withConnection } from "../postgres/connection.ts";
import { findProgram, RunningProgram } from "../postgres/programs.ts";
import { splitStatements } from "./statements.ts";

/**
 * The schema of a database as SQL, by PostgreSQL's own pg_dump, in its order, which puts what is needed before what needs
 * it. Left out is what does not belong to the schema or differs between two dumps of the same one: settings of the
 * session, comments with names and versions, owners, subscriptions and the options of user
 * mappings, which hold passwords, and the schema `ops` of ours.
 */
export async function dumpSchema(target: DatabaseTarget, signal: AbortSignal): Promise<string[]> {
  const major = await withConnection(target, { signal }, async (client) => {
    const { rows } = await client.query<{ server_version_num: string }>("SHOW server_version_num");
    return Math.floor(Number(rows[0]?.server_version_num ?? 0) / 10_000);
  });
  const dump = new RunningProgram(
    await findProgram("pg_dump", major),
    ["--schema-only", "--no-owner", "--no-subscriptions", "--exclude-schema=ops", "--no-password"],
    await connectionEnvironment(target),
    signal,
  );
  const chunks: Buffer[] = [];
  for await (const chunk of dump.output()) chunks.push(chunk);
  // Commands of psql, which are no SQL: \restrict and \unrestrict with a random token.
  const sql = Buffer.concat(chunks)
    .toString()
    .replaceAll(/^\\(un)?restrict .*$/gm, "");
  return readDump(sql, "pg_dump");
}

/** The statements of a dump that belong to the schema. Throws `E_SQL_SYNTAX`. */
export async function readDump(sql: string, file: string): Promise<string[]> {
  const statements = await splitStatements(sql, { file });
  return statements
    .filter(
      ({ kind, text }) => kind !== "VariableSetStmt" && !text.startsWith("SELECT pg_catalog.set_config("),
    )
    .map(({ kind, text }) => `${kind === "CreateUserMappingStmt" ? withoutOptions(text) : text};`);
}

/** Those of a user mapping hold a password. */
function withoutOptions(text: string): string {
  return text.replace(/\s+OPTIONS\s*\([\s\S]*$/, "");
}

/** The statements that only one of two dumps has. */
export function dumpDifference(before: readonly string[], after: readonly string[]) {
  const [had, has] = [new Set(before), new Set(after)];
  return {
    removed: before.filter((each) => !has.has(each)),
    added: after.filter((each) => !had.has(each)),
  };
}
