import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { digest } from "../core/digest.ts";
import { UsageError } from "../core/errors.ts";
import type { Problem } from "./problem.ts";
import { canonicalVersion, compareVersions } from "./version.ts";

/** The SQL of one direction of a migration, line endings normalised to `\n`: what is hashed is what is sent. */
export interface SqlFile {
  /** `0002_add_orders.up.sql` */
  readonly name: string;
  readonly sql: string;
  /** `sha256:…` of `sql`. */
  readonly checksum: string;
}

export interface Migration {
  /** As it is written in the file's name: `0002`. */
  readonly version: string;
  readonly name: string;
  readonly up: SqlFile;
  /** Absent where the migration cannot be taken back. */
  readonly down: SqlFile | undefined;
}

export interface MigrationFolder {
  readonly directory: string;
  /** Oldest first. */
  readonly migrations: readonly Migration[];
  readonly problems: readonly Problem[];
}

/** `0002_add_orders`: how a migration is called in plans, messages and file names. */
export function title(migration: { readonly version: string; readonly name: string }): string {
  return `${migration.version}_${migration.name}`;
}

const pattern = /^(?<version>\d+)_(?<name>[A-Za-z0-9][A-Za-z0-9_-]*)\.(?<direction>up|down)\.sql$/;

interface NamedFile extends SqlFile {
  readonly version: string;
  readonly title: string;
  readonly migrationName: string;
  readonly direction: "up" | "down";
}

/** Reads a folder of migrations. Files that do not end in `.sql` are left alone. Throws `E_MIGRATION_FOLDER`. */
export async function readMigrationFolder(directory: string): Promise<MigrationFolder> {
  const problems: Problem[] = [];
  const files: NamedFile[] = [];
  for (const fileName of await sqlFileNames(directory)) {
    const parts = pattern.exec(fileName)?.groups;
    if (parts === undefined) {
      problems.push({
        kind: "file-name",
        message: `${fileName} is not named as a migration`,
        hint: "name it VERSION_NAME.up.sql or VERSION_NAME.down.sql, such as 0001_create_orders.up.sql",
      });
      continue;
    }
    const sql = decode(await readFile(join(directory, fileName)));
    if (sql === undefined) {
      problems.push({
        kind: "file-encoding",
        message: `${fileName} is not UTF-8 text`,
        hint: "save it as UTF-8 without NUL bytes",
      });
      continue;
    }
    const { version = "", name = "" } = parts;
    files.push({
      name: fileName,
      sql,
      checksum: digest(sql),
      version,
      title: title({ version, name }),
      migrationName: name,
      direction: parts.direction === "down" ? "down" : "up",
    });
  }
  const migrations = [...Map.groupBy(files, (each) => canonicalVersion(each.version)).values()]
    .flatMap((group) => pair(group, problems))
    .sort((a, b) => compareVersions(a.version, b.version));
  return { directory, migrations, problems };
}

async function sqlFileNames(directory: string): Promise<string[]> {
  try {
    const entries = await readdir(directory, { withFileTypes: true });
    return entries
      .filter((each) => !each.isDirectory() && each.name.endsWith(".sql") && !each.name.startsWith("."))
      .map((each) => each.name)
      .sort();
  } catch (cause) {
    throw new UsageError("E_MIGRATION_FOLDER", `The migrations folder ${directory} cannot be read`, {
      cause,
      hint: 'make the folder, or set "migrations" of the database in .opsrc',
    });
  }
}

/** Undefined where the bytes are no text that PostgreSQL can read: a NUL would silently end the file there. */
function decode(bytes: Uint8Array): string | undefined {
  try {
    const text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
    return text.includes("\0") ? undefined : text.replaceAll("\r\n", "\n");
  } catch (error) {
    if (error instanceof TypeError) return undefined;
    throw error;
  }
}

/** The files of one version as one migration; nothing where they contradict each other. */
function pair(group: readonly NamedFile[], problems: Problem[]): Migration[] {
  const ups = group.filter((each) => each.direction === "up");
  const downs = group.filter((each) => each.direction === "down");
  const [up] = ups;
  const [down] = downs;
  for (const same of [ups, downs]) {
    if (same.length > 1) {
      problems.push({
        kind: "duplicate-version",
        message: `${same.map((each) => each.name).join(" and ")} have the same version`,
        hint: "give one of them a newer version",
      });
    }
  }
  if (ups.length > 1 || downs.length > 1) return [];
  if (up === undefined) {
    problems.push({
      kind: "missing-up",
      message: `${down?.name} has no file that it takes back`,
      hint: `add ${down?.title}.up.sql, or delete it`,
    });
    return [];
  }
  if (down !== undefined && down.title !== up.title) {
    problems.push({
      kind: "name-mismatch",
      message: `${up.name} and ${down.name} have the same version but not the same name`,
      hint: `rename the second to ${up.title}.down.sql`,
    });
    return [];
  }
  return [{ version: up.version, name: up.migrationName, up: sqlFile(up), down: down && sqlFile(down) }];
}

function sqlFile({ name, sql, checksum }: NamedFile): SqlFile {
  return { name, sql, checksum };
}
