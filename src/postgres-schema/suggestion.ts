import { type ChangedObject, type SchemaDifference, withoutParts } from "./comparison.ts";
import type { DatabaseSchema, SchemaObject } from "./schema-object.ts";

/** Kinds whose definition is a statement that can be run as it is. */
const runnable = new Set<SchemaObject["kind"]>([
  "schema",
  "extension",
  "language",
  "collation",
  "type",
  "sequence",
  "function",
  "procedure",
  "operator",
  "cast",
  "transform",
  "conversion",
  "access method",
  "foreign-data wrapper",
  "server",
  "view",
  "materialized view",
  "constraint",
  "index",
  "statistics",
  "rule",
  "trigger",
  "event trigger",
  "policy",
  "publication",
  "owner",
  "comment",
]);

/** Kinds that lose nothing by being dropped and made again. */
const replaceable = new Set<SchemaObject["kind"]>([
  "constraint",
  "index",
  "statistics",
  "rule",
  "trigger",
  "event trigger",
  "policy",
  "view",
  "operator",
  "cast",
]);

/**
 * Statements towards `to`, where they are simple: whole objects made and dropped, columns added and dropped, functions
 * replaced. What is not simple is a comment that says so. For a person to read, not to run unseen: a DROP loses data, and
 * objects may depend on each other in ways that this order does not know.
 */
export function suggestStatements(to: DatabaseSchema, difference: SchemaDifference): string[] {
  const drops = withoutParts(difference.removed).toReversed().map(dropOf);
  const creations = withoutParts(difference.added).flatMap((each) => createOf(each, to));
  return [...drops, ...difference.changed.flatMap(changeOf), ...creations];
}

function createOf(object: SchemaObject, schema: DatabaseSchema): string[] {
  const key = `${object.kind} ${object.identity}`;
  const parts = schema.objects.filter((each) => each.dependsOn?.[0] === key);
  switch (object.kind) {
    case "table":
    case "foreign table": {
      const columns = parts.filter((each) => each.kind === "column").map((each) => `  ${each.definition}`);
      const made = object.definition.replace("( … )", () => `(\n${columns.join(",\n")}\n)`);
      return [made, ...parts.filter((each) => runnable.has(each.kind)).map((each) => each.definition)];
    }
    case "column":
      return [`ALTER TABLE ${tableOf(object)} ADD COLUMN ${object.definition};`];
    default: {
      const made = runnable.has(object.kind) ? object.definition : byHand(`create ${key}`, object.definition);
      return [made, ...parts.filter((each) => runnable.has(each.kind)).map((each) => each.definition)];
    }
  }
}

function dropOf(object: SchemaObject): string {
  const { kind, identity, definition } = object;
  switch (kind) {
    case "column":
      return `ALTER TABLE ${tableOf(object)} DROP COLUMN ${identity.slice(tableOf(object).length + 1)};`;
    case "constraint":
      return `ALTER TABLE ${tableOf(object)} DROP CONSTRAINT ${identity.slice(0, -` ON ${tableOf(object)}`.length)};`;
    case "comment":
      return `COMMENT ON ${identity} IS NULL;`;
    case "type":
      return `DROP ${definition.startsWith("CREATE DOMAIN") ? "DOMAIN" : "TYPE"} ${identity};`;
    case "grant":
    case "default privileges":
    case "owner":
    case "security label":
      return byHand(`take back ${kind} ${identity}`, definition);
    default:
      return `DROP ${kind.toUpperCase()} ${identity};`.replace("FOREIGN-DATA", "FOREIGN DATA");
  }
}

function changeOf(change: ChangedObject): string[] {
  const { kind, identity, before, after } = change;
  if (kind === "function" || kind === "procedure" || kind === "comment" || kind === "owner") return [after];
  if (!replaceable.has(kind))
    return [byHand(`change ${kind} ${identity}`, `from: ${before}\nto:   ${after}`)];
  const table = / ON (.+)$/.exec(identity)?.[1];
  const drop = dropOf({
    kind,
    identity,
    definition: before,
    ...(table === undefined ? {} : { dependsOn: [`table ${table}`] }),
  });
  return [`${drop}\n${after}`];
}

function tableOf(object: SchemaObject): string {
  return (object.dependsOn?.[0] ?? "").replace(/^(foreign table|materialized view|table|view) /, "");
}

function byHand(what: string, text: string): string {
  return [`by hand: ${what}`, ...text.split("\n").map((line) => `  ${line}`)]
    .map((line) => `-- ${line}`)
    .join("\n");
}
