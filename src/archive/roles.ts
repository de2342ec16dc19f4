import pg from "pg";
import { findProgram, RunningProgram } from "../postgres/programs.ts";
import { mainObject, type ReadableBackup, readPlain } from "./read-object.ts";

/** The roles that SQL names in grants, owners and policies. The parser reads it; psql's own commands are left out. */
export async function rolesNamedIn(sql: string): Promise<string[]> {
  const parser = await import("libpg-query");
  await parser.loadModule();
  const text = sql.replaceAll(/^\\.*$/gm, "");
  if (text.trim() === "") return [];
  const named = new Set<string>();
  collectRoles(parser.parseSync(text), named);
  return [...named].sort();
}

/** Adds the roles that a parse tree of libpg-query names; PUBLIC, CURRENT_USER and the like are no names. */
export function collectRoles(node: unknown, named: Set<string>): void {
  if (Array.isArray(node)) {
    for (const each of node) collectRoles(each, named);
    return;
  }
  if (typeof node !== "object" || node === null) return;
  if ("roletype" in node && node.roletype === "ROLESPEC_CSTRING" && "rolename" in node) {
    if (typeof node.rolename === "string") named.add(node.rolename);
  }
  for (const each of Object.values(node)) collectRoles(each, named);
}

/** A dump holds no roles but names them: who owns what and who may do what. Reads the schema of the backup. */
export async function rolesOfBackup(backup: ReadableBackup, signal: AbortSignal): Promise<string[]> {
  const program = await findProgram("pg_restore", Number.parseInt(backup.manifest.dumpProgram, 10));
  const printing = new RunningProgram(program, ["--schema-only", "--file=-"], {}, signal);
  try {
    const parts: Buffer[] = [];
    const reading = async () => {
      for await (const part of printing.output()) parts.push(part);
    };
    await Promise.all([reading(), printing.feedWhileWanted(readPlain(backup, mainObject(backup.manifest)))]);
    return await rolesNamedIn(Buffer.concat(parts).toString("utf8"));
  } finally {
    await printing.stop();
  }
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
