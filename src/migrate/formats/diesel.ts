import type { FolderListing } from "../folder-listing.ts";
import { type Migration, migration } from "../migration.ts";
import type { Problem } from "../problem.ts";
import { sqlFile } from "../sql-file.ts";
import { canonicalVersion, compareVersions } from "../version.ts";
import type { FolderContent, MigrationFormat } from "./format.ts";
import { duplicate } from "./paired-files.ts";

const pattern = /^(?<version>[\d-]*\d)_(?<name>.+)$/;

/** https://diesel.rs: folders `2024-01-01-120000_name` with up.sql, down.sql and metadata.toml. */
export const diesel: MigrationFormat = {
  name: "diesel",
  recognises: (folder) =>
    folder.subfolders.some((each) => pattern.test(each) && folder.within(each).includes("up.sql")),
  read,
  wayBackFile: ({ version, name }) => `down.sql of ${folderName(version, name)}`,
  create: (_, version, name) => {
    const folder = folderName(version, name);
    return [
      { path: `${folder}/up.sql`, content: "" },
      { path: `${folder}/down.sql`, content: "" },
    ];
  },
};

function read(folder: FolderListing): FolderContent {
  const problems: Problem[] = [];
  const migrations: Migration[] = [];
  for (const subfolder of folder.subfolders) {
    const parts = pattern.exec(subfolder)?.groups;
    const files = folder.within(subfolder);
    if (parts === undefined || !files.includes("up.sql")) {
      if (files.some((each) => each.endsWith(".sql"))) {
        problems.push({
          kind: "file-name",
          message: `${subfolder} is no migration of diesel`,
          hint: "name it VERSION_NAME, such as 2024-01-01-120000_create_orders, with an up.sql in it",
        });
      }
      continue;
    }
    const metadata = files.includes("metadata.toml") ? folder.text(`${subfolder}/metadata.toml`) : undefined;
    const settings = /^\s*run_in_transaction\s*=\s*false\b/m.test(metadata ?? "")
      ? ({ transaction: "none" } as const)
      : {};
    const file = (name: string) =>
      sqlFile(`${subfolder}/${name}`, () => folder.text(`${subfolder}/${name}`), settings);
    migrations.push(
      migration({
        // As diesel keeps it in its table.
        version: (parts.version ?? "").replaceAll("-", ""),
        name: parts.name ?? "",
        up: file("up.sql"),
        down: files.includes("down.sql") ? file("down.sql") : undefined,
        verify: undefined,
      }),
    );
  }
  for (const same of Map.groupBy(migrations, (each) => canonicalVersion(each.version)).values()) {
    if (same.length > 1) problems.push(duplicate(same.map((each) => each.up.name)));
  }
  return { migrations: migrations.sort((a, b) => compareVersions(a.version, b.version)), problems };
}

/** `20240101120000` as diesel writes it: `2024-01-01-120000`. */
function folderName(version: string, name: string): string {
  return `${version.replace(/^(\d{4})(\d{2})(\d{2})(\d{6})$/, "$1-$2-$3-$4")}_${name}`;
}
