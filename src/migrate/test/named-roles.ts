import pg from "pg";
import { collectRoles } from "../../archive/roles.ts";
import { OpsError } from "../../core/errors.ts";
import type { Migration, SqlFile } from "../migration-file.ts";
import { isRecord, type Statement, splitStatements } from "../statements.ts";
import { wholeBatch } from "./whole-batch.ts";

/**
 * Roles are the server's, not the database's: neither a dump nor the migrations bring those along that a GRANT or a
 * policy names. Returns the ones that the statements name and do not make.
 */
export function namedRoles(statements: readonly Statement[]): string[] {
  const named = new Set<string>();
  const made = new Set<string>();
  for (const { node } of statements) {
    collectRoles(node, named);
    collectMade(node, made);
  }
  return [...named].filter((each) => !made.has(each)).sort();
}

/** Those of whole migrations, their ways down included. */
export async function rolesOfMigrations(migrations: readonly Migration[]): Promise<string[]> {
  const files = migrations.flatMap(({ up, down }) => (down === undefined ? [up] : [up, down]));
  const statements: Statement[] = [];
  for (const file of files) {
    if (roleWords.test(file.sql)) statements.push(...(await parsed(await wholeBatch(file))));
  }
  return namedRoles(statements);
}

/** Words without one of which a file names no role. */
const roleWords = /\b(?:role|user|group|grant|revoke|owner|policy|privileges|authorization)\b/i;

async function parsed(file: SqlFile): Promise<readonly Statement[]> {
  try {
    return await splitStatements(file.sql, { file: file.name });
  } catch (error) {
    // It is the problem of its migration, which will say so.
    if (error instanceof OpsError && error.code === "E_SQL_SYNTAX") return [];
    throw error;
  }
}

function collectMade(node: unknown, made: Set<string>): void {
  if (Array.isArray(node)) {
    for (const each of node) collectMade(each, made);
    return;
  }
  if (!isRecord(node)) return;
  const creation = node.CreateRoleStmt;
  if (isRecord(creation) && typeof creation.role === "string") made.add(creation.role);
  for (const each of Object.values(node)) collectMade(each, made);
}

/** Removes all roles but PostgreSQL's own, once no database holds anything of theirs. */
export async function dropRoles(client: pg.ClientBase): Promise<void> {
  const { rows } = await client.query<{ name: string }>(
    "SELECT rolname AS name FROM pg_roles WHERE rolname !~ '^pg_' AND rolname <> current_user",
  );
  for (const { name } of rows) await client.query(`DROP ROLE ${pg.escapeIdentifier(name)}`);
}
