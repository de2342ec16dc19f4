import type { FolderListing } from "../folder-listing.ts";
import { dbmate } from "./dbmate.ts";
import { diesel } from "./diesel.ts";
import { flyway } from "./flyway.ts";
import type { FormatName, MigrationFormat } from "./format.ts";
import { golangMigrate } from "./golang-migrate.ts";
import { goose } from "./goose.ts";
import { nodePgMigrate } from "./node-pg-migrate.ts";
import { ops } from "./ops.ts";
import { sqitch } from "./sqitch.ts";

/** The first one that recognises a folder reads it; our own where none does. */
const foreign: readonly MigrationFormat[] = [
  sqitch,
  diesel,
  golangMigrate,
  dbmate,
  goose,
  nodePgMigrate,
  flyway,
];

export function findFormat(folder: FolderListing, wanted: FormatName | undefined): MigrationFormat {
  if (wanted !== undefined) return [...foreign, ops].find((each) => each.name === wanted) ?? ops;
  // The usual case, told by the names alone.
  if (folder.files.some((each) => /^\d+_[A-Za-z0-9][A-Za-z0-9_-]*\.up\.sql$/.test(each))) {
    return golangMigrate.recognises(folder) ? golangMigrate : ops;
  }
  return foreign.find((each) => each.recognises(folder)) ?? ops;
}
