import pg from "pg";
import { OpsError } from "../core/errors.ts";
import { findProgram, type Program, RunningProgram } from "../postgres/programs.ts";
import { loadSqlParser } from "../postgres/sql-parser.ts";
import { mainObject, type ReadableBackup, readPlain } from "./read-object.ts";

/** The roles that SQL names in grants, owners and policies. The parser reads it; psql's own commands are left out. */
export async function rolesNamedIn(sql: string): Promise<string[]> {
  const named = new Set<string>();
  collectRoles(await parsed(sql), named);
  return [...named].sort();
}

/** Adds the roles that a parse tree of libpg-query names; PUBLIC, CURRENT_USER and the like are no names. */
export function collectRoles(node: unknown, named: Set<string>): void {
  for (const { name } of roleNames(node)) named.add(name);
}

/**
 * The same SQL with other roles: each name is replaced where the parser found it, so that a column or a text which is
 * called like a role stays. Names inside function bodies are text to the parser and stay too.
 */
export async function withMappedRoles(sql: string, mapping: ReadonlyMap<string, string>): Promise<string> {
  const text = Buffer.from(sql);
  const places = [...roleNames(await parsed(sql))]
    .filter((each) => mapping.has(each.name))
    .sort((a, b) => a.location - b.location);
  const parts: Buffer[] = [];
  let end = 0;
  for (const { name, location } of places) {
    const written = /^(?:"(?:[^"]|"")*"|[^\s"';,()]+)/.exec(
      text.toString("utf8", location, location + 300),
    )?.[0];
    const read = written?.startsWith('"')
      ? written.slice(1, -1).replaceAll('""', '"')
      : written?.toLowerCase();
    if (written === undefined || read !== name) {
      throw new OpsError("E_ARCHIVE_FORMAT", `The role "${name}" is not where the SQL parser sees it`, {
        hint: "restore without --map-role and change the owners afterwards",
        retryable: false,
      });
    }
    const replacement = Buffer.from(pg.escapeIdentifier(mapping.get(name) ?? name));
    parts.push(text.subarray(end, location), replacement);
    end = location + Buffer.byteLength(written);
  }
  return Buffer.concat([...parts, text.subarray(end)]).toString("utf8");
}

/** A statement of SQL and its parse tree. */
export interface ParsedStatement {
  readonly text: string;
  readonly tree: Readonly<Record<string, unknown>>;
}

export async function statementsOf(sql: string): Promise<ParsedStatement[]> {
  const text = Buffer.from(sql);
  return ((await parsed(sql)).stmts ?? []).map(({ stmt, stmt_location: from = 0, stmt_len: length }) => ({
    text: text.toString("utf8", from, length === undefined ? undefined : from + length).trim(),
    tree: stmt as Record<string, unknown>,
  }));
}

/** psql's \restrict becomes blanks of the same length, so that every place stays where it is. */
async function parsed(sql: string) {
  const parser = await loadSqlParser();
  const text = sql.replaceAll(/^\\(un)?restrict [A-Za-z0-9]+$/gm, (line) => " ".repeat(line.length));
  return text.trim() === "" ? { stmts: [] } : parser.parseSync(text);
}

/** Where a parse tree names roles: `location` in bytes. */
function* roleNames(node: unknown): Generator<{ name: string; location: number }> {
  if (Array.isArray(node)) {
    for (const each of node) yield* roleNames(each);
    return;
  }
  if (typeof node !== "object" || node === null) return;
  if ("roletype" in node && node.roletype === "ROLESPEC_CSTRING" && "rolename" in node) {
    const location = "location" in node ? Number(node.location) : 0;
    if (typeof node.rolename === "string") yield { name: node.rolename, location };
  }
  // SET SESSION AUTHORIZATION: grants that somebody else than the owner has given.
  if ("name" in node && node.name === "session_authorization" && "args" in node) {
    const [first] = node.args as { A_Const?: { sval?: { sval?: string }; location?: number } }[];
    const name = first?.A_Const?.sval?.sval;
    if (name !== undefined) yield { name, location: first?.A_Const?.location ?? 0 };
  }
  for (const each of Object.values(node)) yield* roleNames(each);
}

/** What pg_restore would run: SQL without rows. Reads the head of the main archive only. */
export async function printedSchema(
  backup: ReadableBackup,
  program: Program,
  options: readonly string[],
  signal: AbortSignal,
): Promise<string> {
  const printing = new RunningProgram(program, [...options, "--file=-"], {}, signal);
  try {
    const parts: Buffer[] = [];
    const reading = async () => {
      for await (const part of printing.output()) parts.push(part);
    };
    await Promise.all([reading(), printing.feedWhileWanted(readPlain(backup, mainObject(backup.manifest)))]);
    return Buffer.concat(parts).toString("utf8");
  } finally {
    await printing.stop();
  }
}

/** A dump holds no roles but names them: who owns what and who may do what. Reads the schema of the backup. */
export async function rolesOfBackup(backup: ReadableBackup, signal: AbortSignal): Promise<string[]> {
  const program = await findProgram("pg_restore", Number.parseInt(backup.manifest.dumpProgram, 10));
  return rolesNamedIn(await printedSchema(backup, program, ["--schema-only"], signal));
}

/** Of these roles, those that the server does not have. */
export async function missingRoles(client: pg.ClientBase, names: readonly string[]): Promise<string[]> {
  const { rows } = await client.query<{ name: string }>(
    "SELECT name FROM unnest($1::text[]) AS name WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name) ORDER BY 1",
    [names],
  );
  return rows.map((each) => each.name);
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
