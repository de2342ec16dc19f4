import type pg from "pg";
import { comments, securityLabels } from "./catalog/annotations.ts";
import {
  accessMethods,
  casts,
  conversions,
  operatorClasses,
  operatorFamilies,
  operators,
  transforms,
} from "./catalog/operators.ts";
import {
  foreignDataWrappers,
  publications,
  servers,
  subscriptions,
  userMappings,
} from "./catalog/outside-data.ts";
import { columnGrants, defaultPrivileges, grants, owners } from "./catalog/privileges.ts";
import { columns, sequences, tables, views } from "./catalog/relations.ts";
import { aggregates, eventTriggers, routines } from "./catalog/routines.ts";
import { extensions, languages, schemas } from "./catalog/schemas.ts";
import { constraints, indexes, policies, rules, statistics, triggers } from "./catalog/table-parts.ts";
import {
  textSearchConfigurations,
  textSearchDictionaries,
  textSearchParsers,
  textSearchTemplates,
} from "./catalog/text-search.ts";
import { collations, types } from "./catalog/types.ts";
import { type DatabaseSchema, type SchemaObject, schemaObjectKinds } from "./schema-object.ts";

interface Row {
  readonly kind: SchemaObject["kind"];
  readonly identity: string;
  readonly definition: string;
  readonly dependsOn?: readonly string[] | null;
  readonly position?: number;
}

/**
 * Reads every object of the connected database's schema from the system catalogs, as of one moment. Left out are what
 * comes with the server, the members of extensions, and the schema `ops` of ours. Works on PostgreSQL 13 and later.
 * Begins and ends a read-only transaction of its own; what the session has SET stays.
 */
export async function readSchema(client: pg.ClientBase): Promise<DatabaseSchema> {
  await client.query("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY");
  try {
    // With an empty search path the server qualifies every name it prints; the rest is how it prints expressions.
    const { rows: version } = await client.query<{ serverVersion: number }>(
      `SELECT current_setting('server_version_num')::int AS "serverVersion", set_config('search_path', '', true),
              set_config('quote_all_identifiers', 'off', true), set_config('datestyle', 'ISO, MDY', true),
              set_config('intervalstyle', 'postgres', true), set_config('extra_float_digits', '1', true),
              set_config('bytea_output', 'hex', true), set_config('timezone', 'UTC', true), set_config('jit', 'off', true)`,
    );
    const serverVersion = version[0]?.serverVersion ?? 0;
    // One message for all of them: some forty round trips less.
    const results: unknown = await client.query(queries(serverVersion).join(";"));
    const objects = (results as pg.QueryResult<Row>[]).flatMap(({ rows }) => rows.map(schemaObject));
    await client.query("COMMIT");
    return { serverVersion, objects: objects.sort(inOrderOfCreation) };
  } catch (error) {
    // A connection that broke has rolled back by itself; the first error is the one to tell.
    await client.query("ROLLBACK").catch(() => undefined);
    throw error;
  }
}

function queries(serverVersion: number): string[] {
  return [
    ...[schemas, extensions, languages, collations, types],
    ...[tables, columns, sequences, views, constraints, indexes, statistics],
    ...[routines, aggregates, triggers, rules, policies, eventTriggers],
    ...[operators, operatorFamilies, operatorClasses, casts, transforms, conversions, accessMethods],
    ...[textSearchParsers, textSearchTemplates, textSearchDictionaries, textSearchConfigurations],
    ...[foreignDataWrappers, servers, userMappings, publications(serverVersion), subscriptions],
    ...[owners, grants, columnGrants, defaultPrivileges, comments, securityLabels],
  ];
}

function schemaObject({ kind, identity, definition, dependsOn, position }: Row): SchemaObject {
  return {
    kind,
    identity,
    definition,
    ...(dependsOn ? { dependsOn } : {}),
    ...(position === undefined ? {} : { position }),
  };
}

const rank = new Map(schemaObjectKinds.map((kind, index) => [kind, index]));

/** Columns keep the order of their table. */
export function inOrderOfCreation(a: SchemaObject, b: SchemaObject): number {
  const byKind = (rank.get(a.kind) ?? 0) - (rank.get(b.kind) ?? 0);
  if (byKind !== 0) return byKind;
  const [table = "", otherTable = ""] = [a.dependsOn?.[0], b.dependsOn?.[0]];
  if (a.kind === "column" && table === otherTable) return (a.position ?? 0) - (b.position ?? 0);
  return a.identity < b.identity ? -1 : a.identity > b.identity ? 1 : 0;
}
