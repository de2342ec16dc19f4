import type { DataLoss } from "../report.ts";
import { quotedName } from "./relation-name.ts";
import type { SequencePositions } from "./sequence-positions.ts";
import type { Contents, TableContents } from "./table-contents.ts";

/** What the tables held at three moments. */
export interface Moments {
  readonly beforeUp: Contents;
  readonly afterUp: Contents;
  readonly afterDown: Contents;
}

/**
 * What a way down costs, of two sorts: what was there before the migration and did not come back, and what the way
 * down drops although something was in it (whatever was written since the migration goes with it).
 */
export function dataLosses({ beforeUp, afterUp, afterDown }: Moments): DataLoss[] {
  return [...notBack(beforeUp, afterDown), ...dropped(beforeUp, afterUp, afterDown)];
}

/** By name: a table that the way down makes anew is the same one to the application. */
function notBack(before: Contents, after: Contents): DataLoss[] {
  const now = new Map([...after.values()].map((each) => [each.name, each]));
  return [...before.values()].flatMap((table): DataLoss[] => {
    const left = now.get(table.name);
    if (left === undefined || left.rows < table.rows) {
      if (table.rows === 0) return [];
      return [{ kind: "rows-lost", object: table.name, held: table.rows, left: left?.rows ?? 0 }];
    }
    return valuesNotBack(table, left);
  });
}

/** A sequence that stands before its place gives values that are taken already; one that went on does no harm. */
export function positionsNotBack(before: SequencePositions, after: SequencePositions): DataLoss[] {
  return [...before].flatMap(([object, { increment, next }]): DataLoss[] => {
    const left = after.get(object);
    if (left === undefined || (increment > 0n ? left.next >= next : left.next <= next)) return [];
    return [{ kind: "position-lost", object, held: Number(next), left: Number(left.next) }];
  });
}

function valuesNotBack(table: TableContents, left: TableContents): DataLoss[] {
  const inColumns = columnsNotBack(table, left);
  // The same values, but in other rows.
  const swapped =
    inColumns.length === 0 &&
    left.rows === table.rows &&
    table.sum !== null &&
    left.sum !== null &&
    table.sum !== left.sum &&
    columnNames(table) === columnNames(left);
  return swapped
    ? [{ kind: "rows-changed", object: table.name, held: table.rows, left: left.rows }]
    : inColumns;
}

function columnNames({ columns }: TableContents): string {
  return JSON.stringify([...columns.values()].map((each) => each.name).sort());
}

function columnsNotBack(table: TableContents, left: TableContents): DataLoss[] {
  const now = new Map([...left.columns.values()].map((each) => [each.name, each]));
  return [...table.columns.values()].flatMap((column): DataLoss[] => {
    const after = now.get(column.name);
    const object = `${table.name}.${quotedName(undefined, column.name)}`;
    const seen = { object, held: column.held, left: after?.held ?? 0 };
    if (seen.left < seen.held) return [{ kind: "values-lost", ...seen }];
    const sameRows = left.rows === table.rows;
    const changed = sameRows && column.sum !== null && after?.sum !== null && column.sum !== after?.sum;
    return changed ? [{ kind: "values-changed", ...seen }] : [];
  });
}

/** By identity: a table or column that only has another name is not dropped. */
function dropped(before: Contents, afterUp: Contents, afterDown: Contents): DataLoss[] {
  return [...afterUp].flatMap(([oid, table]): DataLoss[] => {
    const left = afterDown.get(oid);
    if (left === undefined) {
      if (table.rows === 0 || before.has(oid)) return [];
      return [{ kind: "table-dropped", object: table.name, held: table.rows, left: 0 }];
    }
    return [...table.columns].flatMap(([number, column]): DataLoss[] => {
      const isNew = before.get(oid)?.columns.has(number) !== true;
      if (column.held === 0 || !isNew || left.columns.has(number)) return [];
      const object = `${table.name}.${quotedName(undefined, column.name)}`;
      return [{ kind: "column-dropped", object, held: column.held, left: 0 }];
    });
  });
}
