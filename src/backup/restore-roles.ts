import pg from "pg";
import { missingRoles } from "../archive/roles.ts";
import { OpsError, UsageError } from "../core/errors.ts";
import { suggestion } from "../core/suggestion.ts";
import { ownershipOf, type RestoreInput } from "./restore-input.ts";

/**
 * The roles to make, of those that the backup names. Throws `E_INPUT` where a role is mapped that it does not name, and
 * `E_ROLE_MISSING` with all that are missing where they are not to be made.
 */
export async function rolesToMake(
  client: pg.ClientBase,
  named: readonly string[],
  input: RestoreInput,
): Promise<string[]> {
  const ownership = ownershipOf(input);
  const mapping: ReadonlyMap<string, string> = ownership.keep ? ownership.mapping : new Map();
  for (const role of mapping.keys()) {
    if (named.includes(role)) continue;
    throw new UsageError("E_INPUT", `--map-role: the backup names no role "${role}"`, {
      hint: suggestion(role, named),
    });
  }
  const wanted = [...new Set(named.map((each) => mapping.get(each) ?? each))];
  const missing = await missingRoles(client, wanted);
  if (missing.length === 0 || input["create-roles"]) return missing;
  const [first] = missing;
  throw new OpsError(
    "E_ROLE_MISSING",
    `The backup names ${missing.length === 1 ? "a role" : "roles"} that this server does not have: ${missing.join(", ")}`,
    {
      hint: `make them with --create-roles, use others with --map-role ${first}=…, or leave owners and grants away with --owners skip`,
      details: { roles: missing },
      retryable: false,
    },
  );
}

/** Each with a comment that says who made it, in one step. Those that are there by now stay as they are. */
export async function makeMarkedRoles(
  client: pg.ClientBase,
  names: readonly string[],
  mark: string,
): Promise<void> {
  for (const name of await missingRoles(client, names)) {
    const role = pg.escapeIdentifier(name);
    // Several statements in one query are one transaction.
    await client.query(
      `CREATE ROLE ${role} NOLOGIN; COMMENT ON ROLE ${role} IS ${pg.escapeLiteral(`ops: made for ${mark}`)}`,
    );
  }
}

/** Drops those that this restore made. Returns the ones that stay because something elsewhere belongs to them. */
export async function dropMarkedRoles(
  client: pg.ClientBase,
  names: readonly string[],
  scratch: string,
): Promise<string[]> {
  const { rows } = await client.query<{ name: string }>(
    `SELECT rolname AS name FROM pg_roles
      WHERE rolname = ANY($1) AND strpos(shobj_description(oid, 'pg_authid'), $2) > 0`,
    [names, scratch],
  );
  const left: string[] = [];
  for (const { name } of rows) {
    try {
      await client.query(`DROP ROLE ${pg.escapeIdentifier(name)}`);
    } catch (error) {
      // dependent_objects_still_exist
      if (!(error instanceof pg.DatabaseError) || error.code !== "2BP01") throw error;
      left.push(name);
    }
  }
  return left;
}
