import { type DatabaseSchema, keyOf, type SchemaObject, type SchemaObjectKind } from "./schema-object.ts";

export type ChangedObject = {
  readonly kind: SchemaObjectKind;
  readonly identity: string;
  readonly before: string;
  readonly after: string;
};

/** A table that has the same columns in another order: it is the same for every query that names its columns. */
export type ReorderedTable = {
  readonly table: string;
  readonly before: readonly string[];
  readonly after: readonly string[];
};

/** What makes one schema differ from another, each list in the order of creation. */
export type SchemaDifference = {
  /** In `b` alone. */
  readonly added: readonly SchemaObject[];
  /** In `a` alone. */
  readonly removed: readonly SchemaObject[];
  readonly changed: readonly ChangedObject[];
  readonly reordered: readonly ReorderedTable[];
};

export interface ComparisonOptions {
  /** Kinds of object that are not looked at: `["owner"]`. */
  readonly ignoreKinds?: readonly SchemaObjectKind[];
}

/** From `a` to `b`, object by object. Pure. */
export function compareSchemas(
  a: DatabaseSchema,
  b: DatabaseSchema,
  options: ComparisonOptions = {},
): SchemaDifference {
  const looked = (each: SchemaObject) => options.ignoreKinds?.includes(each.kind) !== true;
  const before = new Map(a.objects.filter(looked).map((each) => [keyOf(each), each]));
  const after = new Map(b.objects.filter(looked).map((each) => [keyOf(each), each]));
  return {
    added: [...after].flatMap(([key, object]) => (before.has(key) ? [] : [object])),
    removed: [...before].flatMap(([key, object]) => (after.has(key) ? [] : [object])),
    changed: [...after].flatMap(([key, { kind, identity, definition }]) => {
      const old = before.get(key);
      return old === undefined || isSameDefinition(kind, old.definition, definition)
        ? []
        : [{ kind, identity, before: old.definition, after: definition }];
    }),
    reordered: reorderedTables(before, after),
  };
}

/** A routine's body has the line ends of the checkout that it was made from. */
function isSameDefinition(kind: SchemaObjectKind, a: string, b: string): boolean {
  if (a === b) return true;
  if (kind !== "function" && kind !== "procedure") return false;
  return a.replaceAll("\r\n", "\n") === b.replaceAll("\r\n", "\n");
}

/** True where there is nothing to tell apart but the order of columns. */
export function isSameSchema(difference: SchemaDifference): boolean {
  return difference.added.length + difference.removed.length + difference.changed.length === 0;
}

/** Without the objects that come and go with one that is listed itself: a table stands for its columns and indexes. */
export function withoutParts(objects: readonly SchemaObject[]): SchemaObject[] {
  const listed = new Set(objects.map(keyOf));
  return objects.filter((each) => each.dependsOn?.some((key) => listed.has(key)) !== true);
}

function reorderedTables(
  before: ReadonlyMap<string, SchemaObject>,
  after: ReadonlyMap<string, SchemaObject>,
): ReorderedTable[] {
  const now = columnsByTable(after);
  return [...columnsByTable(before)].flatMap(([table, columns]) => {
    const others = new Set(now.get(table));
    const own = new Set(columns);
    const left = columns.filter((each) => others.has(each));
    const right = (now.get(table) ?? []).filter((each) => own.has(each));
    return left.every((each, index) => each === right[index])
      ? []
      : [{ table, before: columns, after: now.get(table) ?? [] }];
  });
}

/** `table public.orders` → its columns' identities, in their order. */
function columnsByTable(objects: ReadonlyMap<string, SchemaObject>): Map<string, string[]> {
  const columns = [...objects.values()]
    .filter((each) => each.kind === "column")
    .sort((a, b) => (a.position ?? 0) - (b.position ?? 0));
  return new Map(
    [...Map.groupBy(columns, (each) => each.dependsOn?.[0] ?? "")].map(([table, all]) => [
      table,
      all.map((each) => each.identity),
    ]),
  );
}
