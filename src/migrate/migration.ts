import type { MigrationSettings } from "./header.ts";
import type { SqlFile } from "./sql-file.ts";

export interface Migration {
  /** As it is written in the file's name: `0002`. */
  readonly version: string;
  readonly name: string;
  readonly up: SqlFile;
  /** Absent where the migration cannot be taken back. */
  readonly down: SqlFile | undefined;
  /** Proves that it did what it should: returns no rows, or raises. */
  readonly verify: SqlFile | undefined;
  /** Those of the up file. */
  readonly settings: MigrationSettings;
  /** Run again whenever its text changes, after all others (Flyway's `R__`). */
  readonly repeatable?: true;
  /** Its verify file fails by errors alone; rows are fine (sqitch). */
  readonly verifyReturnsRows?: true;
}

/** `0002_add_orders`, `R__order_view`: how a migration is called in plans, messages and file names. */
export function title(migration: { readonly version: string; readonly name: string }): string {
  const { version, name } = migration;
  return name === "" || name === version || version === `R__${name}` ? version : `${version}_${name}`;
}

/** A migration whose settings are those of its up file, read when they are first asked for. */
export function migration(parts: Omit<Migration, "settings">): Migration {
  return {
    ...parts,
    get settings() {
      return parts.up.settings;
    },
  };
}
