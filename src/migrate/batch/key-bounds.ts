import type { BatchSettings } from "../header.ts";
import type { Statement } from "../statements.ts";
import { nodeOf } from "../statements.ts";
import { type Bound, boundsOf, conjuncts, equalColumns } from "./bounds.ts";
import { identifier, schemaOf } from "./identifier.ts";
import { picksIn } from "./picked-rows.ts";
import { placeholders } from "./placeholders.ts";
import { type QueryScope, type Relation, relationOf, scopeOf } from "./query-scope.ts";

export interface BoundMistake {
  /** `bounds`: it does not go through the keys of the batch; `picks`: it does, and leaves some of the rows out. */
  readonly kind: "bounds" | "picks";
  readonly message: string;
  readonly hint: string;
  /** Byte of the text; undefined: where the placeholder is first used. */
  readonly byte: number | undefined;
  /** 1: of `:batch_start`, 2: of `:batch_end`. */
  readonly parameter: number;
}

/**
 * What keeps a statement from going through exactly the rows of a batch. Only a condition that must hold bounds it: below
 * OR and NOT, in a subquery or on the column of another table it would leave rows out or change them in every batch.
 */
export function boundMistakes(settings: BatchSettings, statement: Statement): BoundMistake[] {
  const found = mistakesOf(settings, scopeOf(statement.kind, nodeOf(statement)), new Map());
  return found.filter((each, index) => found.findIndex((other) => other.message === each.message) === index);
}

/** @param outer the WITH queries that are known here, and whether each holds the rows of the batch only */
function mistakesOf(
  settings: BatchSettings,
  scope: QueryScope,
  outer: ReadonlyMap<string, boolean>,
): BoundMistake[] {
  const withs = new Map(outer);
  for (const { name, kind, node } of scope.withs) {
    const inner = scopeOf(kind, node);
    const mistakes = mistakesOf(settings, inner, withs);
    const changes = inner.relations.some((each) => each.role === "target" && isTable(each, settings, withs));
    if (mistakes.length > 0 && (changes || mistakes.every((each) => each.kind === "picks"))) return mistakes;
    withs.set(name, mistakes.length === 0);
  }
  const owners = scope.relations.filter((each) => isTable(each, settings, withs));
  const [target] = owners.filter((each) => each.role === "target");
  if (isBoundByWith(settings, scope, target, withs)) return pickMistakes(settings, scope, withs);
  const bounds = conjuncts(scope.where)
    .flatMap(boundsOf)
    .filter((each) => each.column.name === identifier(settings.key));
  const mistakes = ([">=", "<="] as const).flatMap((wanted, index) => {
    const own = bounds.filter((each) => each.parameter === index + 1);
    return missing(settings, scope, target === undefined ? owners : [target], own, wanted, index + 1);
  });
  return mistakes.length > 0
    ? mistakes.map((each) => ({ ...each, kind: "bounds" }))
    : pickMistakes(settings, scope, withs);
}

function pickMistakes(
  settings: BatchSettings,
  scope: QueryScope,
  withs: ReadonlyMap<string, boolean>,
): BoundMistake[] {
  const picks = picksIn(
    scope,
    (each) =>
      isTable(each, settings, withs) || (each.schema === undefined && withs.get(each.table ?? "") === true),
  );
  if (picks === undefined) return [];
  return [
    {
      kind: "picks",
      message: `${picks} leaves out rows of the batch, and nobody comes back for them`,
      hint: `remove ${picks}: a batch has as many rows as size and target allow`,
      byte: undefined,
      parameter: 1,
    },
  ];
}

function missing(
  { table, key }: BatchSettings,
  { relations }: QueryScope,
  owners: readonly Relation[],
  bounds: readonly Bound[],
  wanted: string,
  parameter: number,
): Omit<BoundMistake, "kind">[] {
  const right = bounds.filter(({ column }) => {
    const relation = relationOf(column, relations);
    return relation !== undefined && owners.includes(relation);
  });
  if (right.length > 0 && right.every((each) => each.relation === wanted)) return [];
  const [owner] = owners;
  const qualified = owner === undefined || relations.length === 1 ? key : `${owner.alias}.${key}`;
  const hint = `write: WHERE ${qualified} BETWEEN :batch_start AND :batch_end, outside of OR, NOT and subqueries`;
  const placeholder = placeholders[parameter - 1];
  const [other] = bounds;
  if (owner === undefined) {
    return [
      {
        message: `the WHERE has no table ${table} to compare the key ${key} of`,
        hint: `name the table that the statement goes through: -- ops: batch table=…`,
        byte: other?.column.byte,
        parameter,
      },
    ];
  }
  if (right.length > 0 || other === undefined) {
    return [
      {
        message: `the WHERE must compare the key ${key} with ${placeholder} by ${wanted}: the keys of a batch include both ends`,
        hint,
        byte: right[0]?.column.byte,
        parameter,
      },
    ];
  }
  const written = [...other.column.qualifier, other.column.name].join(".");
  const { byte } = other.column;
  if (other.column.qualifier.length === 0) {
    const message = `${written} could be of any of ${relations.length} tables, and the key is that of ${table}`;
    return [{ message, hint: `qualify it: ${qualified}`, byte, parameter }];
  }
  return [
    { message: `${written} is not the key ${key} of ${table} that is gone through`, hint, byte, parameter },
  ];
}

/** Whether it is joined with a WITH query of the batch's rows: by the key, where it changes the table itself. */
function isBoundByWith(
  settings: BatchSettings,
  { where, relations }: QueryScope,
  target: Relation | undefined,
  withs: ReadonlyMap<string, boolean>,
): boolean {
  const key = identifier(settings.key);
  const bounding = relations.filter(
    ({ role, schema, table = "" }) => role === "joined" && schema === undefined && withs.get(table) === true,
  );
  if (target === undefined) return bounding.length > 0;
  return conjuncts(where).some((condition) => {
    const pair = equalColumns(condition);
    if (pair === undefined || pair.some(({ name }) => name !== key)) return false;
    const [left, right] = pair.map((each) => relationOf(each, relations));
    return [
      [left, right],
      [right, left],
    ].some(([own, other]) => own === target && other !== undefined && bounding.includes(other));
  });
}

/** Whether it is the table of the batch, and no WITH query of that name. */
function isTable(
  { table, schema, role }: Relation,
  settings: BatchSettings,
  withs: ReadonlyMap<string, boolean>,
): boolean {
  if (table !== identifier(settings.table)) return false;
  if (role !== "target" && schema === undefined && withs.has(table)) return false;
  const wanted = schemaOf(settings.table);
  return schema === undefined || wanted === undefined || schema === wanted;
}
