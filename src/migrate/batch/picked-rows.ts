import { isRecord } from "../statements.ts";
import { conjuncts } from "./bounds.ts";
import { inside, type QueryScope, type Relation, scopeOf } from "./query-scope.ts";

/**
 * What keeps a scope from going through all the rows that its WHERE bounds, as it is written: `LIMIT`, `ONLY`. The rows
 * that are left out are below the place when the batch is done, and nobody comes back for them.
 *
 * @param isOwn whether a relation is the table of the batch, or a WITH query of its rows
 */
export function picksIn(scope: QueryScope, isOwn: (relation: Relation) => boolean): string | undefined {
  const own = scope.relations.find((each) => each.picks !== undefined && isOwn(each));
  return (
    scope.picks ??
    own?.picks ??
    conjuncts(scope.where)
      .map((each) => picksInList(each, isOwn))
      .find(Boolean)
  );
}

/** Of `id IN (SELECT id FROM users … LIMIT 100)`. */
function picksInList(condition: unknown, isOwn: (relation: Relation) => boolean): string | undefined {
  const link = isRecord(condition) && isRecord(condition.SubLink) ? condition.SubLink : undefined;
  const [kind, node] = inside(link?.subselect) ?? [];
  if (link?.subLinkType !== "ANY_SUBLINK" || kind === undefined || node === undefined) return undefined;
  const scope = scopeOf(kind, node);
  return scope.relations.some(isOwn) ? picksIn(scope, isOwn) : undefined;
}
