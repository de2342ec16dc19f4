import { title } from "../migration.ts";
import type { MigrationFormat } from "./format.ts";
import { ops } from "./ops.ts";
import { readPairedFiles } from "./paired-files.ts";

const pattern = /^(?<version>\d+)_(?<name>.*)\.(?<direction>up|down)\.sql$/;

/**
 * https://github.com/golang-migrate/migrate: as ours, with any name. Files that are named as ours are read as ours,
 * which comes to the same.
 */
export const golangMigrate: MigrationFormat = {
  name: "golang-migrate",
  recognises: ({ files }) => {
    const sql = files.filter((each) => each.endsWith(".sql"));
    return sql.length > 0 && sql.every((each) => pattern.test(each)) && !sql.every(isNamedAsOurs);
  },
  read: (folder) =>
    readPairedFiles(folder, pattern, (fileName) =>
      fileName.endsWith(".sql")
        ? {
            kind: "file-name",
            message: `${fileName} is not named as a migration of golang-migrate`,
            hint: "name it VERSION_NAME.up.sql or VERSION_NAME.down.sql",
          }
        : undefined,
    ),
  wayBackFile: (migration) => `${title(migration)}.down.sql`,
  create: ops.create,
};

function isNamedAsOurs(fileName: string): boolean {
  return /^\d+_[A-Za-z0-9][A-Za-z0-9_-]*\.(?:up|down|verify)\.sql$/.test(fileName);
}
