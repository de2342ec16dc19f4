import pg from "pg";
import { OpsError } from "../core/errors.ts";
import type { ArchiveEntry } from "./custom-format.ts";
import { type ParsedStatement, statementsOf, withMappedRoles } from "./roles.ts";

/** What belongs to a database and not to something in it. */
export interface DatabaseProperties {
  /** SQL for a database of another name: its owner, settings (also of a role in it), limits and grants. */
  readonly statements: readonly string[];
  readonly comment: string | null;
}

/** Owners and grants: the source's, with other names for some roles; or none of them. */
export type Ownership =
  | { readonly keep: true; readonly mapping: ReadonlyMap<string, string> }
  | { readonly keep: false };

/**
 * The properties of the database as pg_dump wrote them down; pg_restore would only restore them under the old name.
 * All of it can run in one transaction.
 */
export async function databaseProperties(
  entries: readonly ArchiveEntry[],
  name: string,
  ownership: Ownership,
): Promise<DatabaseProperties> {
  const statements = await statementsOf(await propertiesSql(entries, ownership));
  return {
    statements: statements.filter((each) => !("CommentStmt" in each.tree)).map((each) => renamed(each, name)),
    comment: commentIn(statements),
  };
}

/** As it is in the archive, with the old name of the database and the wanted roles. */
export async function propertiesSql(entries: readonly ArchiveEntry[], ownership: Ownership): Promise<string> {
  const parts = entries.flatMap((entry) => {
    switch (entry.description) {
      case "DATABASE":
        return ownership.keep && entry.owner !== ""
          ? [`ALTER DATABASE ${databaseIn(entry)} OWNER TO ${pg.escapeIdentifier(entry.owner)};\n`]
          : [];
      case "DATABASE PROPERTIES":
        return [entry.definition];
      case "ACL":
        return ownership.keep && isOfDatabase(entry) ? [entry.definition] : [];
      case "COMMENT":
      case "SECURITY LABEL":
        return isOfDatabase(entry) ? [entry.definition] : [];
      default:
        return [];
    }
  });
  const sql = parts.join("\n");
  if (ownership.keep) return withMappedRoles(sql, ownership.mapping);
  const statements = await statementsOf(sql);
  // ALTER ROLE … IN DATABASE … SET names a role that may not be there.
  return statements
    .filter((each) => !("AlterRoleSetStmt" in each.tree))
    .map((each) => `${each.text};\n`)
    .join("");
}

const isOfDatabase = (entry: ArchiveEntry) => entry.schema === "" && entry.tag.startsWith("DATABASE ");

const identifier = String.raw`(?:"(?:[^"]|"")*"|[^\s";]+)`;

/** pg_dump writes the name once, in one of these places. */
const places = [
  /^ALTER DATABASE /,
  /^COMMENT ON DATABASE /,
  /^(?:GRANT|REVOKE) [A-Z, ]*ON DATABASE /,
  new RegExp(`^ALTER ROLE ${identifier} IN DATABASE `),
  new RegExp(`^SECURITY LABEL FOR ${identifier} ON DATABASE `),
];

function renamed({ text, tree }: ParsedStatement, name: string): string {
  // Grants that another role has given stand between SET and RESET SESSION AUTHORIZATION.
  if ("VariableSetStmt" in tree) return text;
  // What stands before a statement in the text belongs to it as a comment.
  const statement = text.replace(/^(?:--.*\n|\s)+/, "");
  for (const place of places) {
    const head = place.exec(statement)?.[0];
    if (head === undefined) continue;
    const rest = statement.slice(head.length).replace(new RegExp(`^${identifier}`), "");
    return `${head}${pg.escapeIdentifier(name)}${rest}`;
  }
  throw new OpsError(
    "E_ARCHIVE_FORMAT",
    "The backup holds a property of the database that ops does not know",
    {
      details: { statement: statement.slice(0, 200) },
      hint: "restore with pg_restore --create, as docs/restore-without-ops.md shows",
      retryable: false,
    },
  );
}

function databaseIn(entry: ArchiveEntry): string {
  return pg.escapeIdentifier(entry.tag);
}

function commentIn(statements: readonly ParsedStatement[]): string | null {
  for (const { tree } of statements) {
    if (!("CommentStmt" in tree)) continue;
    const { comment } = tree.CommentStmt as { comment?: string };
    return comment ?? null;
  }
  return null;
}
