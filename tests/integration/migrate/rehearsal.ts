import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { z } from "zod";
import type { MigrationTestReport, reportSchema, TestedMigration } from "../../../src/migrate/report.ts";
import { perform, testContext } from "../../support/context.ts";
import { operation } from "./project.ts";

/** A folder of migrations and a folder of state, without any database: `migrate.test` brings its own server. */
export async function rehearsed(
  files: Readonly<Record<string, string>>,
  input: Readonly<Record<string, unknown>> = {},
): Promise<MigrationTestReport> {
  const directory = await mkdtemp(join(tmpdir(), "ops-reh-"));
  try {
    for (const [name, sql] of Object.entries(files)) await writeFile(join(directory, name), sql);
    // The URL leads nowhere: from an empty database the real one is not needed.
    const database = { url: "postgresql://nobody@127.0.0.1:1/none", migrations: directory };
    const context = testContext({ databases: { main: database } }, { directory });
    const { output } = await perform(operation("migrate.test"), context, input);
    return output as z.output<typeof reportSchema>;
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

/** How a migration did from an empty database. */
export function tested(report: MigrationTestReport, name: string): TestedMigration {
  const found = report.passes[0]?.migrations.find((each) => each.name === name);
  if (found === undefined) throw new Error(`the report says nothing about ${name}`);
  return found;
}
