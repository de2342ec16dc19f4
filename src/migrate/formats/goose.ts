import { title } from "../migration.ts";
import type { Problem } from "../problem.ts";
import type { MigrationFormat } from "./format.ts";
import { cutSections } from "./sections.ts";
import { readSingleFiles, someFileHolds } from "./single-file.ts";

const pattern = /^(?<version>\d+)_(?<name>.+)\.sql$/;
const mark = /^\s*--\s*\+goose\s+(?<direction>up|down)\s*$/i;

/** https://github.com/pressly/goose: `00001_name.sql` with `-- +goose Up`, `-- +goose Down`. */
export const goose: MigrationFormat = {
  name: "goose",
  recognises: (folder) => someFileHolds(folder, pattern, /^\s*--\s*\+goose\s+up\b/im),
  read: (folder) =>
    readSingleFiles(
      folder,
      pattern,
      (text, fileName) => {
        const sections = cutSections(
          text,
          (line) => mark.exec(line)?.groups?.direction?.toLowerCase(),
          "before",
        );
        const settings = /^\s*--\s*\+goose\s+no\s+transaction\b/im.test(text)
          ? ({ transaction: "none" } as const)
          : {};
        return {
          up: sections.get("up")?.sql,
          down: sections.get("down")?.sql,
          upSettings: settings,
          downSettings: settings,
          problems: problemsOf(text, fileName, sections.has("up")),
        };
      },
      misnamed,
    ),
  wayBackFile: (migration) => `the part "-- +goose Down" of ${title(migration)}.sql`,
  create: (_, version, name) => [
    { path: `${version}_${name}.sql`, content: "-- +goose Up\n\n-- +goose Down\n\n" },
  ],
};

function problemsOf(text: string, fileName: string, hasUp: boolean): Problem[] {
  const problems: Problem[] = [];
  if (!hasUp) {
    problems.push({
      kind: "file-form",
      message: `${fileName} has no "-- +goose Up"`,
      hint: "write that line before its first statement",
    });
  }
  if (/^\s*--\s*\+goose\s+envsub\s+on\b/im.test(text)) {
    problems.push({
      kind: "file-form",
      message: `${fileName} has environment variables in it (+goose ENVSUB ON), which ops does not read`,
      hint: "write their values into the file",
    });
  }
  return problems;
}

function misnamed(fileName: string): Problem | undefined {
  if (/^\d+_.*(?<!_test)\.go$/.test(fileName)) {
    return {
      kind: "file-form",
      message: `${fileName} is a migration in Go, which ops cannot run`,
      hint: `write what it does as ${fileName.replace(/go$/, "sql")}`,
    };
  }
  if (!fileName.endsWith(".sql")) return undefined;
  return {
    kind: "file-name",
    message: `${fileName} is not named as a migration of goose`,
    hint: "name it VERSION_NAME.sql, such as 00001_create_orders.sql",
  };
}
