import { randomUUID } from "node:crypto";
import { readFile, rename, rm, writeFile } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { z } from "zod";
import { ExitCode, OpsError, UsageError } from "../core/errors.ts";
import { defineOperation } from "../run/operation.ts";
import { database } from "./input.ts";
import { dumpDifference, dumpSchema, readDump } from "./schema-dump.ts";

const heading = `-- The schema of the database when this was written, for review. Written by: ops migrate snapshot
SET check_function_bodies = false;
SELECT pg_catalog.set_config('search_path', '', false);
`;

export const snapshot = defineOperation({
  name: "migrate.snapshot",
  summary: "Write the schema of a database as reviewable SQL, or check that the file is up to date",
  example: "migrate snapshot --check",
  effect: "read",
  input: z.strictObject({
    database,
    into: z
      .string()
      .min(1, "must not be empty")
      .describe(
        "The file, relative to .opsrc; - prints it; default: schema.sql beside the folder of migrations",
      )
      .optional(),
    check: z.boolean().describe("Write nothing; exit with 3 where the file is not up to date").default(false),
  }),
  output: z.object({
    database: z.string().describe("The database"),
    file: z.string().nullable().describe("The file; null where it is printed"),
    state: z
      .enum(["written", "unchanged", "stale", "missing", "printed"])
      .describe("stale: the file is not what the database has; missing: it does not exist (only with check)"),
    statements: z.number().describe("How many statements make the schema"),
    added: z.array(z.string()).describe("Statements that the file did not have"),
    removed: z.array(z.string()).describe("Statements that only the file had"),
    sql: z.string().nullable().describe("The schema, where it is printed"),
  }),
  observe: async () => null,
  plan: () => [],
  apply: async (context, input, _before, report) => {
    const target = context.environment.database(input.database);
    if (input.check && input.into === "-") {
      throw new UsageError("E_INPUT", "There is no file to check where the schema is printed", {
        hint: "leave out --check or --into -",
      });
    }
    report.progress({ message: `read the schema of database ${target.name}` });
    const statements = await dumpSchema(target, context.signal);
    const sql = `${heading}\n${statements.join("\n\n")}\n`;
    const common = { database: target.name, statements: statements.length };
    if (input.into === "-") {
      return { ...common, file: null, state: "printed" as const, added: [], removed: [], sql };
    }
    const file =
      input.into === undefined
        ? join(dirname(target.migrations), "schema.sql")
        : resolve(context.environment.directory, input.into);
    const old = await readIfThere(file);
    const difference = dumpDifference(await statementsOf(old ?? "", file), statements);
    const result = { ...common, file, ...difference, sql: null };
    if (old === sql) return { ...result, state: "unchanged" as const };
    if (input.check)
      return { ...result, state: old === undefined ? ("missing" as const) : ("stale" as const) };
    await replaceFile(file, sql);
    return { ...result, state: "written" as const };
  },
  failure: ({ state, file, database }) =>
    state === "stale"
      ? new OpsError("E_SNAPSHOT_STALE", `${file} is not the schema of database ${database}`, {
          exitCode: ExitCode.noGo,
          hint: "write it anew: ops migrate snapshot",
        })
      : state === "missing"
        ? new OpsError("E_SNAPSHOT_STALE", `${file} does not exist`, {
            exitCode: ExitCode.noGo,
            hint: "write it with the same command without --check: ops migrate snapshot",
          })
        : undefined,
  render: ({ state, file, database, statements, added, removed, sql }) => {
    if (sql !== null) return sql.trimEnd();
    const lines = [...removed.map((each) => mark("-", each)), ...added.map((each) => mark("+", each))];
    const count = `${statements} ${statements === 1 ? "statement" : "statements"}`;
    switch (state) {
      case "unchanged":
        return `${file} is the schema of database ${database} (${count})`;
      case "missing":
        return `${file} does not exist yet; the schema of database ${database} has ${count}`;
      case "stale":
        return lines.length === 0 ? `${file} differs in order or layout` : lines.join("\n");
      default:
        return `wrote ${file}: ${count}, ${added.length} new, ${removed.length} gone`;
    }
  },
});

/** Whatever stands in the file now; a text that is no SQL counts as one statement. */
async function statementsOf(sql: string, file: string): Promise<string[]> {
  try {
    return await readDump(sql, file);
  } catch (error) {
    if (error instanceof OpsError && error.code === "E_SQL_SYNTAX") return [sql];
    throw error;
  }
}

async function readIfThere(file: string): Promise<string | undefined> {
  try {
    return await readFile(file, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
}

/** Whoever reads the file finds the old or the new one, never a half. */
async function replaceFile(file: string, text: string): Promise<void> {
  const unfinished = `${file}.${randomUUID()}`;
  try {
    await writeFile(unfinished, text);
    await rename(unfinished, file);
  } catch (cause) {
    await rm(unfinished, { force: true });
    throw new OpsError("E_SNAPSHOT_FILE", `${file} cannot be written`, { cause });
  }
}

function mark(sign: string, statement: string): string {
  return statement
    .split("\n")
    .map((line) => `${sign} ${line}`)
    .join("\n");
}
