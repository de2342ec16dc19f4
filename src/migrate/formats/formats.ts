import type { FolderListing } from "../folder-listing.ts";
import type { FormatName, MigrationFormat } from "./format.ts";
import { ops } from "./ops.ts";

/** Of those that a folder could be, the first one that recognises it; our own where none does. */
const formats: readonly MigrationFormat[] = [ops];

export async function findFormat(
  folder: FolderListing,
  wanted: FormatName | undefined,
): Promise<MigrationFormat> {
  return (
    formats.find((each) => (wanted === undefined ? each.recognises(folder) : each.name === wanted)) ?? ops
  );
}
