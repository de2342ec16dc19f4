import { posix, relative } from "node:path";
import { z } from "zod";
import type { DatabaseTarget } from "../config/environment.ts";
import { counted } from "../core/counted.ts";
import { OpsError } from "../core/errors.ts";
import { withConnection } from "../postgres/connection.ts";
import type { OperationContext } from "../run/context.ts";
import { defineOperation } from "../run/operation.ts";
import { assess } from "./assessment.ts";
import { readHistory } from "./history-table.ts";
import { database } from "./input.ts";
import { changedFiles, checkoutRoot } from "./lint/changed-files.ts";
import { type Finding, formatFinding, type Severity } from "./lint/finding.ts";
import { githubAnnotations } from "./lint/github.ts";
import { lintFiles } from "./lint/lint-files.ts";
import { LiveDatabase } from "./lint/live-database.ts";
import { sarifLog } from "./lint/sarif.ts";
import { parseSize } from "./lint/table-size.ts";
import { type MigrationFolder, readFolderOf } from "./migration-file.ts";
import { refuseProblems } from "./problem.ts";
import type { SqlFile } from "./sql-file.ts";

const findingSchema = z.object({
  rule: z.string().describe("For: -- ops: allow=RULE because …"),
  severity: z
    .enum(["error", "warning", "note"])
    .describe("How bad it is, on this database where there is one"),
  file: z.string().describe("Relative to the folder of .opsrc"),
  line: z.number().describe("From 1"),
  column: z.number().describe("From 1, in characters"),
  message: z.string().describe("What happens"),
  instead: z.string().nullable().describe("What to write instead"),
  sourceLine: z.string().describe("The line it is about"),
  allowed: z.string().nullable().describe("Why the file allows it; null where it does not"),
});

const lintInput = z.strictObject({
  database,
  base: z
    .string()
    .min(1, "must not be empty")
    .describe("Lint the files that changed since this git revision; default: the pending ones")
    .optional(),
  format: z
    .enum(["text", "json", "github", "sarif"])
    .describe("How the findings are printed")
    .default("text"),
  "fail-on": z
    .enum(["error", "warning"])
    .describe("What makes it fail: errors alone, or warnings too, which is more without a database")
    .default("error"),
  big: z.string().describe("A table is big from this size on").default("1GiB"),
  "big-rows": z.int().min(1).describe("A table is big from this number of rows on").default(1_000_000),
  offline: z.boolean().describe("Ask no database; with base, for CI without one").default(false),
});

export const lint = defineOperation({
  name: "migrate.lint",
  summary: "Find what is dangerous in migrations, on tables as big as those of this database",
  example: "migrate lint --base origin/main --format github",
  effect: "read",
  input: lintInput,
  output: z.object({
    database: z.string().describe("The database"),
    files: z.number().describe("How many files were read"),
    findings: z.array(findingSchema).describe("In the order of the files"),
    errors: z.number().describe("How many errors no file allows"),
    warnings: z.number().describe("How many warnings no file allows"),
    failOn: z.enum(["error", "warning"]).describe("What makes it fail"),
    notes: z.array(z.string()).describe("What limits the findings"),
    format: z.enum(["text", "json", "github", "sarif"]).describe("How they are printed"),
    prefix: z.string().describe("From the root of the checkout to the folder of .opsrc"),
  }),
  observe: async () => null,
  plan: () => [],
  apply: async (context, input, _before, report) => {
    const target = context.environment.database(input.database);
    const big = { bytes: parseSize(input.big), rows: input["big-rows"] };
    const folder = await readFolderOf(target);
    refuseProblems(target.name, folder.problems);
    const { directory } = context.environment;
    const root = await checkoutRoot(target.migrations, context.signal);
    return await withDatabase(context, target, input.offline, async (live, why) => {
      const files = await chosenFiles(context, input, folder, live);
      refuseProblems(
        target.name,
        files.flatMap((each) => each.problems),
      );
      // What a database cannot tell about a way back is nothing.
      const waysBack = live === undefined ? [] : waysBackOf(files, folder);
      report.progress({ message: `lint ${files.length + waysBack.length} files` });
      const lintContext = {
        database: live?.database,
        big,
        directory,
        shown: (file: SqlFile) => slashed(relative(directory, `${target.migrations}/${file.name}`)),
        signal: context.signal,
      };
      const findings = await lintFiles(files, lintContext, waysBack);
      return {
        database: target.name,
        files: files.length + waysBack.length,
        findings,
        errors: countOpen(findings, "error"),
        warnings: countOpen(findings, "warning"),
        failOn: input["fail-on"],
        notes: why === undefined ? [] : [why],
        format: input.format,
        prefix: root === undefined ? "" : slashed(relative(root, directory)),
      };
    });
  },
  failure: ({ errors, warnings, failOn }) => {
    const counts = [
      ...(errors > 0 ? [counted(errors, "error")] : []),
      ...(failOn === "warning" && warnings > 0 ? [counted(warnings, "warning")] : []),
    ];
    if (counts.length === 0) return undefined;
    return new OpsError("E_LINT", `The migrations have ${counts.join(" and ")}`, {
      hint: "change the migration, or say in it why it is fine: -- ops: allow=RULE because …",
      retryable: false,
    });
  },
  render: (output) => {
    const uri = (file: string) => posix.join(output.prefix, file);
    switch (output.format) {
      case "json":
        return JSON.stringify(output, null, 2);
      case "github":
        return githubAnnotations(output.findings, uri).join("\n");
      case "sarif":
        return JSON.stringify(sarifLog(output.findings, uri), null, 2);
      case "text":
        return text(output);
    }
  },
});

interface Live {
  readonly database: LiveDatabase;
  readonly history: Awaited<ReturnType<typeof readHistory>>;
}

/** Works without the database where it cannot be asked, and says so: a linter in CI often has none. */
async function withDatabase<T>(
  context: OperationContext,
  target: DatabaseTarget,
  offline: boolean,
  work: (live: Live | undefined, why: string | undefined) => Promise<T>,
): Promise<T> {
  if (offline) return work(undefined, "no database was asked: severities do not know how big tables are");
  let connected = false;
  try {
    const options = { signal: context.signal, applicationName: "ops migrate lint" };
    return await withConnection(target, options, async (client) => {
      connected = true;
      return work(
        { database: await LiveDatabase.over(client), history: await readHistory(client) },
        undefined,
      );
    });
  } catch (error) {
    const absent = error instanceof OpsError && /^E_(DATABASE_UNREACHABLE|SECRET)$/.test(error.code);
    if (connected || !absent) throw error;
    return work(undefined, `${error.message}: severities do not know how big tables are`);
  }
}

/** Without a database and without a base: every file. */
async function chosenFiles(
  context: OperationContext,
  input: z.output<typeof lintInput>,
  folder: MigrationFolder,
  live: Live | undefined,
): Promise<SqlFile[]> {
  if (input.base !== undefined) {
    const changed = await changedFiles(folder.directory, input.base, context.signal);
    return folder.migrations.map((each) => each.up).filter((each) => changed.has(each.name));
  }
  if (live === undefined) return folder.migrations.map((each) => each.up);
  return assess(folder, live.history).standings.flatMap((each) =>
    each.state === "pending" || each.state === "out-of-order" ? [each.migration.up] : [],
  );
}

/** Newest first, as they would run. */
function waysBackOf(files: readonly SqlFile[], { migrations }: MigrationFolder): SqlFile[] {
  return migrations
    .filter((each) => files.includes(each.up))
    .toReversed()
    .flatMap((each) => (each.down === undefined ? [] : [each.down]));
}

function text(output: { files: number; findings: readonly Finding[]; notes: readonly string[] }): string {
  const { files, findings, notes } = output;
  const open = findings.filter((each) => each.allowed === null);
  const counts = (["error", "warning", "note"] as const).flatMap((severity) => {
    const count = countOpen(findings, severity);
    return count === 0 ? [] : [counted(count, severity)];
  });
  const allowed = findings.flatMap((each) =>
    each.allowed === null
      ? []
      : [`${each.file}:${each.line}:${each.column}: ${each.rule} is allowed because ${each.allowed}`],
  );
  return [
    ...open.map(formatFinding),
    ...allowed,
    ...notes.map((each) => `note: ${each}`),
    `${counted(files, "file")}: ${counts.join(", ") || "nothing to say"}${allowed.length === 0 ? "" : ` (${allowed.length} allowed)`}`,
  ].join("\n");
}

function countOpen(findings: readonly Finding[], severity: Severity): number {
  return findings.filter((each) => each.severity === severity && each.allowed === null).length;
}

function slashed(path: string): string {
  return path.replaceAll("\\", "/");
}
