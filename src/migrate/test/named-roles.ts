import pg from "pg";
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
  for (const { node } of statements) collect(node, named, made);
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

function collect(node: unknown, named: Set<string>, made: Set<string>): void {
  if (Array.isArray(node)) {
    for (const each of node) collect(each, named, made);
    return;
  }
  if (!isRecord(node)) return;
  // A RoleSpec stands bare or in its node's name; PUBLIC, CURRENT_USER and the like are no names.
  if (node.roletype === "ROLESPEC_CSTRING" && typeof node.rolename === "string") named.add(node.rolename);
  const creation = node.CreateRoleStmt;
  if (isRecord(creation) && typeof creation.role === "string") made.add(creation.role);
  for (const each of Object.values(node)) collect(each, named, made);
}

/** Without login and without rights: enough to be granted something. Those that exist stay as they are. */
export async function makeRoles(client: pg.ClientBase, names: readonly string[]): Promise<string[]> {
  const { rows } = await client.query<{ name: string }>(
    "SELECT name FROM unnest($1::text[]) AS name WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name) AND name !~ '^pg_'",
    [names],
  );
  for (const { name } of rows) await client.query(`CREATE ROLE ${pg.escapeIdentifier(name)}`);
  return rows.map((each) => each.name);
}

/** Removes all roles but PostgreSQL's own, once no database holds anything of theirs. */
export async function dropRoles(client: pg.ClientBase): Promise<void> {
  const { rows } = await client.query<{ name: string }>(
    "SELECT rolname AS name FROM pg_roles WHERE rolname !~ '^pg_' AND rolname <> current_user",
  );
  for (const { name } of rows) await client.query(`DROP ROLE ${pg.escapeIdentifier(name)}`);
}
