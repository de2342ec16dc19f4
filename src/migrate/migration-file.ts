import type { DatabaseTarget } from "../config/environment.ts";
import { type FolderListing, listFolder } from "./folder-listing.ts";
import type { FormatName } from "./formats/format.ts";
import { findFormat } from "./formats/formats.ts";
import type { Migration } from "./migration.ts";
import { notRunnable, type Problem } from "./problem.ts";
import { compareVersions } from "./version.ts";

export { type Migration, title } from "./migration.ts";
export type { SqlFile } from "./sql-file.ts";

export interface MigrationFolder {
  readonly directory: string;
  readonly format: FormatName;
  /** Oldest first. */
  readonly migrations: readonly Migration[];
  readonly problems: readonly Problem[];
  /** The order of the folder's versions. */
  readonly compare: (a: string, b: string) => number;
  /** The file that must hold the way back of a migration. */
  readonly wayBackFile: (migration: { readonly version: string; readonly name: string }) => string;
  readonly listing: FolderListing;
}

/**
 * Reads a folder of migrations, in the form of the tool that made it; `format` overrides what the files look like.
 * Throws `E_MIGRATION_FOLDER`.
 */
export async function readMigrationFolder(
  directory: string,
  format?: FormatName,
  placeholders: Readonly<Record<string, string>> = {},
): Promise<MigrationFolder> {
  const listing = listFolder(directory);
  const found = findFormat(listing, format);
  const { migrations, problems } = found.read(listing, { placeholders });
  return {
    directory,
    format: found.name,
    migrations,
    problems: [
      ...problems,
      // What only the other tool can run is no mistake once it is applied; who runs a file looks at its own problems.
      ...migrations.flatMap((each) => each.up.problems.filter(({ kind }) => kind !== notRunnable)),
    ],
    compare: found.order?.(listing) ?? compareVersions,
    wayBackFile: found.wayBackFile,
    listing,
  };
}

/** The folder of a database, read as its configuration says. */
export async function readFolderOf(target: DatabaseTarget): Promise<MigrationFolder> {
  return readMigrationFolder(target.migrations, target.migrationsFormat, target.migrationsPlaceholders);
}
