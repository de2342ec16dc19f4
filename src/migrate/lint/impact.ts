import type { RelationName } from "./live-database.ts";

/** What a statement does to a table that is there already. */
export interface Impact {
  /** squawk's name for it, where squawk has one: an allowance holds for both. */
  readonly rule: string;
  readonly relation: RelationName;
  /**
   * `long`: others wait for as long as the table is big. `short`: others wait for a moment.
   * `fails`: it goes wrong as soon as the table has a row.
   */
  readonly weight: "long" | "short" | "fails";
  /** Begins a sentence that goes on with the table: `builds an index, while nobody writes to`. */
  readonly does: string;
  readonly instead: string;
}

/** The rules of squawk that say what depends on the size of a table: a live database answers them better. */
export const answeredByDatabase: ReadonlySet<string> = new Set([
  "adding-field-with-default",
  "adding-foreign-key-constraint",
  "adding-not-nullable-field",
  "adding-required-field",
  "adding-serial-primary-key-field",
  "changing-column-type",
  "constraint-missing-not-valid",
  "disallowed-unique-constraint",
  "require-concurrent-index-creation",
  "require-concurrent-reindex",
  "require-concurrent-refresh-materialized-view",
]);

/** Rules that only a live database can break. */
export const onlyWithDatabase: ReadonlySet<string> = new Set([
  "attaching-partition",
  "changing-every-row",
  "foreign-key-to-big-table",
  "locking-big-table",
  "rewriting-table",
]);
