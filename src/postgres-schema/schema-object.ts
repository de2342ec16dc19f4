/** Every kind of object that a schema is compared by, in the order in which objects can be created. */
export const schemaObjectKinds = [
  "schema",
  "extension",
  "language",
  "collation",
  "type",
  "sequence",
  "function",
  "procedure",
  "aggregate",
  "operator",
  "operator family",
  "operator class",
  "cast",
  "transform",
  "conversion",
  "access method",
  "text search parser",
  "text search template",
  "text search dictionary",
  "text search configuration",
  "foreign-data wrapper",
  "server",
  "user mapping",
  "table",
  "foreign table",
  "column",
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
  "subscription",
  "owner",
  "grant",
  "default privileges",
  "comment",
  "security label",
] as const;

export type SchemaObjectKind = (typeof schemaObjectKinds)[number];

/** One object of a database's schema. Two databases have the same schema when they have the same objects. */
export type SchemaObject = {
  readonly kind: SchemaObjectKind;
  /** Qualified and quoted as PostgreSQL writes it: `public.orders`, `public.orders.id`, `public.total(integer)`. */
  readonly identity: string;
  /** Canonical text: equal objects have equal definitions, whatever statements made them. */
  readonly definition: string;
  /** Keys (see `keyOf`) of what the object is a part of and goes away with: a column's table. */
  readonly dependsOn?: readonly string[];
  /** Of a column: its place in its table, from 1, dropped columns not counted. Not a part of the definition. */
  readonly position?: number;
};

/** `table public.orders`: names an object within one schema. */
export function keyOf(object: { readonly kind: string; readonly identity: string }): string {
  return `${object.kind} ${object.identity}`;
}

/** The schema of a database at one moment. */
export type DatabaseSchema = {
  /** As `server_version_num`: 150018. Another major version may print the same definition differently. */
  readonly serverVersion: number;
  /** In the order of creation (see `schemaObjectKinds`), then by identity. */
  readonly objects: readonly SchemaObject[];
};
