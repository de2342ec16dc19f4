import { z } from "zod";
import type { Selection } from "../archive/contents.ts";

const patterns = (what: string) =>
  z
    .array(z.string().min(1, "must not be empty"))
    .default([])
    .describe(`${what} (patterns as pg_dump takes them: public.*, "Odd Name")`);

/** Which part of a database a backup holds; everything by default. */
export const selectionFields = {
  schemas: patterns("Only these schemas"),
  "exclude-schemas": patterns("Without these schemas"),
  tables: patterns("Only these tables"),
  "exclude-tables": patterns("Without these tables"),
  "exclude-table-data": patterns("These tables without their rows"),
};

export function selectionOf(input: {
  readonly schemas: string[];
  readonly "exclude-schemas": string[];
  readonly tables: string[];
  readonly "exclude-tables": string[];
  readonly "exclude-table-data": string[];
}): Selection {
  return {
    schemas: input.schemas,
    excludeSchemas: input["exclude-schemas"],
    tables: input.tables,
    excludeTables: input["exclude-tables"],
    excludeTableData: input["exclude-table-data"],
  };
}

/** A whole database, or only some of its schemas and tables? */
export function isWhole(selection: Selection): boolean {
  return Object.values(selection).every((each) => each.length === 0);
}

/** Which objects pg_dump takes up. */
export function objectOptions(selection: Selection): string[] {
  return [
    ...selection.schemas.map((each) => `--schema=${each}`),
    ...selection.excludeSchemas.map((each) => `--exclude-schema=${each}`),
    ...selection.tables.map((each) => `--table=${each}`),
    ...selection.excludeTables.map((each) => `--exclude-table=${each}`),
  ];
}

/** Which of them it takes up without their rows. */
export function dataOptions(selection: Selection): string[] {
  return selection.excludeTableData.map((each) => `--exclude-table-data=${each}`);
}
