import { title } from "../migration.ts";
import type { MigrationFormat } from "./format.ts";
import { readPairedFiles } from "./paired-files.ts";

const pattern = /^(?<version>\d+)_(?<name>[A-Za-z0-9][A-Za-z0-9_-]*)\.(?<direction>up|down|verify)\.sql$/;

/** Our own: `0002_add_orders.up.sql`, `.down.sql`, `.verify.sql`. Files that do not end in `.sql` are left alone. */
export const ops: MigrationFormat = {
  name: "ops",
  recognises: () => true,
  read: (folder) =>
    readPairedFiles(folder, pattern, (fileName) =>
      fileName.endsWith(".sql")
        ? {
            kind: "file-name",
            message: `${fileName} is not named as a migration`,
            hint: "name it VERSION_NAME.up.sql or VERSION_NAME.down.sql, such as 0001_create_orders.up.sql",
          }
        : undefined,
    ),
  wayBackFile: (migration) => `${title(migration)}.down.sql`,
  create: (_, version, name) => [
    { path: `${version}_${name}.up.sql`, content: "" },
    { path: `${version}_${name}.down.sql`, content: "" },
  ],
};
