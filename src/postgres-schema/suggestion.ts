import { type ChangedObject, type SchemaDifference, withoutParts } from "./comparison.ts";
import { type DatabaseSchema, keyOf, type SchemaObject } from "./schema-object.ts";

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

/** The statements that make an object with all its parts: a table with its columns, their sequences, its indexes. */
export function createOf(object: SchemaObject, schema: DatabaseSchema): string[] {
  const parts = partsOf(object, schema);
  const laterParts = parts.filter((each) => each.kind !== "column").flatMap((each) => runnableText(each));
  switch (object.kind) {
    case "table":
    case "foreign table": {
      const columns = parts.filter((each) => each.kind === "column");
      const list = columns.map((each) => `  ${each.definition}`).join(",\n");
      const made = object.definition.replace("( … )", () => `(\n${list}\n)`);
      const sequences = columns
        .flatMap((each) => partsOf(each, schema))
        .map((each) => each.definition.split("\n"));
      return [
        ...sequences.flatMap(([create = ""]) => create),
        made,
        ...sequences.flatMap(([, ...owned]) => owned),
        ...laterParts,
      ];
    }
    case "column":
      return [`ALTER TABLE ${tableOf(object)} ADD COLUMN ${object.definition};`];
    default:
      return [...runnableText(object), ...laterParts];
  }
}

function partsOf(object: SchemaObject, schema: DatabaseSchema): SchemaObject[] {
  return schema.objects.filter((each) => each.dependsOn?.[0] === keyOf(object));
}

function runnableText(object: SchemaObject): [string] {
  const runs = runnable.has(object.kind) || (object.kind === "grant" && isPlainGrant(object));
  return [runs ? object.definition : byHand(`create ${keyOf(object)}`, object.definition)];
}

/** To a role, on a whole object. */
function isPlainGrant({ identity, definition }: SchemaObject): boolean {
  return (
    !identity.startsWith("COLUMN ") &&
    !identity.endsWith(" TO OWNER") &&
    !/ WITH GRANT OPTION/.test(definition)
  );
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
      return isPlainGrant(object) && definition.startsWith("GRANT ")
        ? `REVOKE ALL ON ${identity.replace(/ TO (?=[^ ]+$)/, " FROM ")};`
        : byHand(`take back ${keyOf(object)}`, definition);
    case "default privileges":
    case "owner":
    case "security label":
      return byHand(`take back ${keyOf(object)}`, definition);
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
