import { title } from "../migration.ts";
import type { MigrationFormat } from "./format.ts";
import { cutSections } from "./sections.ts";
import { readSingleFiles, someFileHolds } from "./single-file.ts";

const pattern = /^(?<version>\d+)_?(?<name>.*)\.sql$/;
const mark = /^--\s*migrate:(?<direction>up|down)\b(?<options>.*)$/;

/** https://github.com/amacneil/dbmate: `20240101120000_name.sql` with `-- migrate:up` and `-- migrate:down`. */
export const dbmate: MigrationFormat = {
  name: "dbmate",
  recognises: (folder) => someFileHolds(folder, pattern, /^--\s*migrate:up\b/m),
  read: (folder) =>
    readSingleFiles(
      folder,
      pattern,
      (text, fileName) => {
        const sections = cutSections(text, (line) => mark.exec(line)?.groups?.direction, "before");
        const up = sections.get("up");
        if (up === undefined) {
          const message = `${fileName} has no "-- migrate:up"`;
          return {
            up: undefined,
            down: undefined,
            problems: [{ kind: "file-form", message, hint: "write that line before its first statement" }],
          };
        }
        const down = sections.get("down");
        return {
          up: up.sql,
          down: down?.sql,
          upSettings: settings(up.mark),
          downSettings: settings(down?.mark ?? ""),
        };
      },
      (fileName) =>
        fileName.endsWith(".sql")
          ? {
              kind: "file-name",
              message: `${fileName} is not named as a migration of dbmate`,
              hint: "name it VERSION_NAME.sql, such as 20240101120000_create_orders.sql",
            }
          : undefined,
    ),
  wayBackFile: (migration) => `the part "-- migrate:down" of ${title(migration)}.sql`,
  create: (_, version, name) => [
    { path: `${version}_${name}.sql`, content: "-- migrate:up\n\n-- migrate:down\n\n" },
  ],
};

function settings(line: string) {
  return /\btransaction:\s*false\b/.test(line) ? ({ transaction: "none" } as const) : {};
}
