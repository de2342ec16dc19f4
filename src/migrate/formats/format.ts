import type { FolderListing } from "../folder-listing.ts";
import type { Migration } from "../migration.ts";
import type { Problem } from "../problem.ts";

export const formatNames = [
  "ops",
  "dbmate",
  "golang-migrate",
  "goose",
  "diesel",
  "flyway",
  "node-pg-migrate",
  "sqitch",
] as const;

export type FormatName = (typeof formatNames)[number];

/** What a folder holds, in one tool's form. */
export interface FolderContent {
  /** Oldest first. */
  readonly migrations: readonly Migration[];
  readonly problems: readonly Problem[];
}

/** A file that `migrate.new` writes. */
export interface NewFile {
  /** Relative to the folder. */
  readonly path: string;
  readonly content: string;
}

export interface ReadOptions {
  /** Values of Flyway's placeholders, by name. */
  readonly placeholders: Readonly<Record<string, string>>;
}

/** How one tool lays out its migrations. The files are read as they are, and never changed. */
export interface MigrationFormat {
  readonly name: FormatName;
  /** Whether the folder can be nothing else; asked in the order of `formats`. */
  recognises(folder: FolderListing): boolean;
  read(folder: FolderListing, options: ReadOptions): FolderContent;
  /** Order of versions where it is not that of numbers. */
  order?(folder: FolderListing): (a: string, b: string) => number;
  /** What must be there so that a migration can be taken back: a file, or a part of one. */
  wayBackFile(migration: { readonly version: string; readonly name: string }): string;
  /** The files of a new migration. */
  create(folder: FolderListing, version: string, name: string): readonly NewFile[];
}
