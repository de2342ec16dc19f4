import { title } from "../migration.ts";
import { notRunnable, type Problem } from "../problem.ts";
import type { MigrationFormat } from "./format.ts";
import { cutSections } from "./sections.ts";
import { readSingleFiles, someFileHolds } from "./single-file.ts";

const pattern = /^(?<version>\d+)[_-](?<name>.+)\.(?:sql|js|cjs|mjs|ts|cts|mts)$/;
const mark = /^\s*--[\s-]*(?<direction>up|down)\s+migration/i;

/** https://github.com/salsita/node-pg-migrate: `1700000000000_name.sql` with `-- Up Migration`, `-- Down Migration`. */
export const nodePgMigrate: MigrationFormat = {
  name: "node-pg-migrate",
  recognises: (folder) =>
    folder.files.some(isScript) || someFileHolds(folder, pattern, /^\s*--[\s-]*(?:up|down)\s+migration/im),
  read: (folder) =>
    readSingleFiles(
      folder,
      pattern,
      (text, fileName) => {
        if (isScript(fileName)) return { up: text, down: undefined, upProblems: [inJavaScript(fileName)] };
        const sections = cutSections(
          text,
          (line) => mark.exec(line)?.groups?.direction?.toLowerCase(),
          "before",
        );
        // Without a mark for the way there, everything before the way back is it.
        return { up: (sections.get("up") ?? sections.get("before"))?.sql, down: sections.get("down")?.sql };
      },
      misnamed,
    ),
  wayBackFile: (migration) => `the part "-- Down Migration" of ${title(migration)}.sql`,
  create: (_, version, name) => [
    { path: `${version}_${name}.sql`, content: "-- Up Migration\n\n-- Down Migration\n\n" },
  ],
};

function isScript(fileName: string): boolean {
  return pattern.test(fileName) && !fileName.endsWith(".sql");
}

function inJavaScript(fileName: string): Problem {
  return {
    kind: notRunnable,
    message: `${fileName} is a migration in JavaScript, which ops cannot run`,
    hint: `write its SQL as ${fileName.replace(/\.\w+$/, ".sql")} in its place: node-pg-migrate up --dry-run prints it`,
  };
}

function misnamed(fileName: string): Problem | undefined {
  if (!fileName.endsWith(".sql")) return undefined;
  return {
    kind: "file-name",
    message: `${fileName} is not named as a migration of node-pg-migrate`,
    hint: "name it TIMESTAMP_NAME.sql, such as 1700000000000_create-orders.sql",
  };
}
