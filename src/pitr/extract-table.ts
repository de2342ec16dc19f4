import pg from "pg";
import { UsageError } from "../core/errors.ts";
import { copyIn } from "../postgres/copy.ts";
import { shownName, sqlName, type TableName } from "./table-name.ts";
import { tableExists } from "./table-refusals.ts";
import { copyFormat } from "./table-rows.ts";
import type { Column, TableShape } from "./table-shape.ts";

export interface NewTable {
  readonly oid: string;
  readonly rows: number;
  readonly notes: readonly string[];
}

/**
 * Makes a table with the columns of then and fills it, within the caller's transaction. It is a picture: types,
 * collations, NOT NULL and the primary key are as then, generated and identity columns are plain ones with the values
 * of then; defaults, checks, foreign keys, triggers, policies and further indexes are left out. Nobody but the owner may
 * read it. Throws `E_TABLE_TYPE` where a type is not there, `E_TABLE_EXISTS`.
 */
export async function makeTable(
  client: pg.Client,
  into: TableName,
  shape: TableShape,
  owner: string,
  rows: AsyncIterable<Uint8Array>,
): Promise<NewTable> {
  await requireTypes(client, shape);
  const definitions = shape.columns.map(definition);
  if (shape.isPrimary) definitions.push(`PRIMARY KEY (${shape.key.map(pg.escapeIdentifier).join(", ")})`);
  try {
    await client.query(`CREATE TABLE ${sqlName(into)} (${definitions.join(", ")})`);
  } catch (error) {
    if (error instanceof pg.DatabaseError && error.code === "42P07") throw tableExists(into);
    throw error;
  }
  const notes = await closeOff(client, into, owner);
  const columns = shape.columns.map((each) => pg.escapeIdentifier(each.name)).join(", ");
  const taken = await copyIn(
    client,
    `COPY ${sqlName(into)} (${columns}) FROM STDIN ${copyFormat(shape.encoding)}`,
    rows,
  );
  const found = await client.query<{ oid: string }>("SELECT $1::regclass::oid::text AS oid", [sqlName(into)]);
  return { oid: found.rows[0]?.oid ?? "", rows: taken, notes };
}

function definition({ name, type, collation, isNotNull }: Column): string {
  const parts = [
    pg.escapeIdentifier(name),
    type,
    ...(collation === null ? [] : [`COLLATE ${collation}`]),
    ...(isNotNull ? ["NOT NULL"] : []),
  ];
  return parts.join(" ");
}

/** Its owner is that of the original, where we may say so; privileges that the schema gives to new tables are taken. */
async function closeOff(client: pg.Client, into: TableName, owner: string): Promise<string[]> {
  const notes: string[] = [];
  const { rows } = await client.query<{ may: boolean; me: string }>(
    `SELECT current_user AS me, coalesce((SELECT pg_has_role(current_user, r.oid, 'MEMBER')
                       AND (has_schema_privilege(r.oid, to_regnamespace($2), 'CREATE')
                            OR (SELECT rolsuper FROM pg_roles WHERE rolname = current_user))
                      FROM pg_roles r WHERE r.rolname = $1), false) AS may`,
    [owner, pg.escapeIdentifier(into.schema)],
  );
  const [found] = rows;
  if (found?.may === true) {
    await client.query(`ALTER TABLE ${sqlName(into)} OWNER TO ${pg.escapeIdentifier(owner)}`);
  } else notes.push(`${shownName(into)} belongs to ${found?.me}, not to ${owner}`);
  const granted = await client.query<{ grantee: string }>(
    `SELECT DISTINCT CASE x.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(x.grantee)) END AS grantee
       FROM pg_class c, aclexplode(c.relacl) x WHERE c.oid = $1::regclass AND x.grantee <> c.relowner`,
    [sqlName(into)],
  );
  for (const { grantee } of granted.rows) {
    await client.query(`REVOKE ALL ON ${sqlName(into)} FROM ${grantee}`);
  }
  return notes;
}

/** The types and collations of then must be there, and enums must know the labels of then. */
async function requireTypes(client: pg.Client, { name, columns }: TableShape): Promise<void> {
  for (const { name: column, type, collation, labels } of columns) {
    const { rows } = await client.query<{ type: boolean; collation: boolean; missing: string[] }>(
      `SELECT to_regtype($1) IS NOT NULL AS type, $2::text IS NULL OR to_regcollation($2) IS NOT NULL AS collation,
              coalesce((SELECT json_agg(l) FROM json_array_elements_text($3::json) l
                         WHERE l NOT IN (
                           WITH RECURSIVE below AS (
                             SELECT t.oid, t.typbasetype FROM pg_type t WHERE t.oid = to_regtype($1)
                             UNION ALL SELECT u.oid, u.typbasetype FROM below b JOIN pg_type u ON u.oid = b.typbasetype)
                           SELECT e.enumlabel FROM below b JOIN pg_enum e ON e.enumtypid = b.oid)), '[]') AS missing`,
      [type, collation, JSON.stringify(labels ?? [])],
    );
    const [found] = rows;
    const where = `column ${column} of ${shownName(name)}`;
    if (found?.type !== true) {
      throw new UsageError("E_TABLE_TYPE", `There is no type ${type} now, which ${where} has`, {
        hint: "make it again (CREATE TYPE, CREATE EXTENSION), then: ops runs resume",
      });
    }
    if (!found.collation) {
      throw new UsageError("E_TABLE_TYPE", `There is no collation ${collation} now, which ${where} has`, {
        hint: "make it again (CREATE COLLATION), then: ops runs resume",
      });
    }
    if (found.missing.length > 0) {
      throw new UsageError(
        "E_TABLE_TYPE",
        `${type} no longer has ${found.missing.join(", ")}, which ${where} may hold`,
        {
          hint: `add it again (ALTER TYPE ${type} ADD VALUE), then: ops runs resume`,
        },
      );
    }
  }
}
