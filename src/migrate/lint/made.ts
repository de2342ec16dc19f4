import type { Domains } from "./domains.ts";
import type { RelationName } from "./live-database.ts";
import type { NotNullChecks } from "./not-null-checks.ts";

/** What the files so far have made. */
export interface Made {
  readonly relations: RelationName[];
  readonly domains: Domains;
  readonly notNullChecks: NotNullChecks;
}

/** A name without a schema may be the same table as one with it. */
export function isSameRelation(a: RelationName, b: RelationName): boolean {
  return a.name === b.name && (a.schema === undefined || b.schema === undefined || a.schema === b.schema);
}
