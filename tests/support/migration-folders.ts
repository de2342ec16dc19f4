import { cp, readdir, readFile, writeFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { databaseProgram } from "./postgres-programs.ts";

/** The folders that `tests/fixtures/migration-folders` writes. */
export const forms = [
  "dbmate",
  "golang-migrate",
  "goose",
  "diesel",
  "flyway",
  "node-pg-migrate",
  "sqitch",
] as const;
export type Form = (typeof forms)[number];

/** One migration as its tool names it, read without the code under test. */
export interface ForeignMigration {
  /** What the tool's own table keeps. */
  readonly version: string;
  readonly name: string;
  /** File of the way up, relative to the folder. */
  readonly path: string;
  /** The file as it is. */
  readonly text: string;
  /** What a person would give psql. */
  readonly sql: string;
}

export function folderOf(form: Form): string {
  const written = process.env.OPS_TEST_MIGRATION_FOLDERS;
  if (written === undefined) throw new Error("the folders were not written: see migration-folders-setup.ts");
  return join(written, form);
}

/** A copy of its own for a test that changes it. */
export async function copyFolder(form: Form, directory: string): Promise<void> {
  await cp(folderOf(form), directory, { recursive: true });
}

/** The migrations of a folder in the order in which its tool applies them; repeatable ones of Flyway last. */
export async function foreignMigrations(form: Form): Promise<ForeignMigration[]> {
  const all = await Promise.all(
    (await migrationPaths(form)).map(async (path): Promise<ForeignMigration> => {
      const text = await readFile(join(folderOf(form), path), "utf8");
      return { path, text, ...named(form, path), sql: upPart(form, text) };
    }),
  );
  return form === "sqitch" ? all : all.toSorted((a, b) => compare(a.version, b.version));
}

/** Applies them as a person would with psql. */
export async function applyByPsql(url: string, migrations: readonly ForeignMigration[]): Promise<void> {
  const script = migrations.map(({ sql }) => {
    const alone = /\bCONCURRENTLY\b|\bADD VALUE\b|^BEGIN;/m.test(sql);
    return `${alone ? sql : `BEGIN;\n${sql}\nCOMMIT;`}\nRESET ALL;\n`;
  });
  await psql(url, script.join(""));
}

/** Throws with what psql said at the first error. */
export async function psql(url: string, script: string): Promise<void> {
  await databaseProgram("psql", ["-X", "-q", "-o", "/dev/null", "-v", "ON_ERROR_STOP=1", "-d", url], script);
}

/** Schema and rows of the application as SQL, without what the tools keep for themselves. */
export function dump(url: string): Promise<string> {
  return dumped(url, []);
}

/** Without the rows: a sequence does not go back with the rows that a way down deletes. */
export function dumpSchema(url: string): Promise<string> {
  return dumped(url, ["--schema-only"]);
}

async function dumped(url: string, options: readonly string[]): Promise<string> {
  const own = ["schema_migrations", "goose_db_version*", "__diesel_schema_migrations", "pgmigrations*"];
  const text = await databaseProgram("pg_dump", [
    ...options,
    "--no-owner",
    "--exclude-schema=ops",
    "--exclude-schema=sqitch",
    ...own.map((each) => `--exclude-table=public.${each}`),
    "--exclude-table=public.flyway_schema_history",
    `--dbname=${url}`,
  ]);
  // Each dump has a random key of its own.
  return text.replaceAll(/^\\(un)?restrict .*\n/gm, "");
}

/** Writes what is missing to go all the way down; a person would have to do the same. */
export async function addMissingWayDown(form: Form, directory: string, path: string): Promise<void> {
  const nothing = "-- nothing to take back\n";
  switch (form) {
    case "golang-migrate":
      return writeFile(join(directory, path.replace(/\.up\.sql$/, ".down.sql")), nothing);
    case "diesel":
      return writeFile(join(directory, path.replace(/up\.sql$/, "down.sql")), nothing);
    case "sqitch":
      return writeFile(join(directory, "revert", basename(path)), nothing);
    case "goose":
      return appendTo(join(directory, path), `\n-- +goose Down\n${nothing}`);
    case "node-pg-migrate":
      return appendTo(join(directory, path), `\n-- Down Migration\n${nothing}`);
    default:
      throw new Error(`nothing is missing in the folder of ${form}`);
  }
}

async function appendTo(path: string, text: string): Promise<void> {
  await writeFile(path, `${await readFile(path, "utf8")}${text}`);
}

async function migrationPaths(form: Form): Promise<string[]> {
  const directory = folderOf(form);
  if (form === "sqitch") return sqitchPaths(await readFile(join(directory, "sqitch.plan"), "utf8"));
  const names = await readdir(directory);
  switch (form) {
    case "golang-migrate":
      return names.filter((each) => each.endsWith(".up.sql"));
    case "diesel":
      return names.map((each) => `${each}/up.sql`);
    case "flyway":
      return names.filter((each) => /^[VR].*\.sql$/.test(each));
    default:
      return names;
  }
}

/** A change that a later line works over again keeps its first text under the name of the tag between them. */
function sqitchPaths(plan: string): string[] {
  const lines = plan.split("\n").filter((each) => each !== "" && !each.startsWith("%"));
  const nameOf = (line: string) => line.split(" ")[0] ?? "";
  return lines.flatMap((line, index) => {
    if (line.startsWith("@")) return [];
    const later = lines.slice(index + 1);
    const again = later.findIndex((each) => nameOf(each) === nameOf(line));
    const tag = again === -1 ? undefined : later.slice(0, again).find((each) => each.startsWith("@"));
    return [`deploy/${nameOf(line)}${tag === undefined ? "" : nameOf(tag)}.sql`];
  });
}

function named(form: Form, path: string): { version: string; name: string } {
  if (form === "sqitch") {
    const name = basename(path, ".sql");
    return { version: name, name };
  }
  const [file = ""] = path.split("/");
  if (form === "flyway") {
    const [, version = "", name = ""] = /^[VR](.*?)__(.*)\.sql$/.exec(file) ?? [];
    return { version: version.replaceAll("_", "."), name };
  }
  const [, version = "", name = ""] = /^([\d-]+)_(.*?)(?:\.up)?(?:\.sql)?$/.exec(file) ?? [];
  return { version: version.replaceAll("-", ""), name };
}

function upPart(form: Form, text: string): string {
  const sql = text.replace(/^\ufeff/, "");
  const down = { dbmate: "-- migrate:down", goose: "-- +goose Down", "node-pg-migrate": "-- Down Migration" };
  const mark = form in down ? down[form as keyof typeof down] : undefined;
  return mark === undefined ? sql : (sql.split(mark)[0] ?? "");
}

/** By the numbers in it; Flyway's repeatable ones have none and come last. */
function compare(a: string, b: string): number {
  if (a === "" || b === "") return a === b ? 0 : a === "" ? 1 : -1;
  const [left, right] = [a, b].map((each) => each.split(".").map(Number));
  for (let index = 0; ; index += 1) {
    const [x, y] = [left?.[index], right?.[index]];
    if (x === undefined || y === undefined) return (left?.length ?? 0) - (right?.length ?? 0);
    if (x !== y) return x - y;
  }
}
