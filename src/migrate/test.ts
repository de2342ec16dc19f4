import { join, resolve } from "node:path";
import { z } from "zod";
import type { DatabaseTarget } from "../config/environment.ts";
import { Secret } from "../config/secret.ts";
import { ExitCode, OpsError } from "../core/errors.ts";
import { name } from "../core/schema.ts";
import { withThrowAwayCluster } from "../postgres/throw-away-cluster.ts";
import { interruptible } from "../run/interruptible.ts";
import { defineOperation } from "../run/operation.ts";
import { database, refuseUnknownVersion, version } from "./input.ts";
import { readFolderOf, title } from "./migration-file.ts";
import { refuseProblems } from "./problem.ts";
import { type CopySource, confirmSource } from "./rehearsal-copy.ts";
import { serverVersion, testCopy, testEmpty } from "./rehearsal-pass.ts";
import { type MigrationTestReport, type Pass, reportSchema } from "./report.ts";
import { filesDigest, testedFile, writeReport, writeReportFile } from "./report-folder.ts";
import { reportText } from "./report-text.ts";

const input = z.strictObject({
  database,
  "from-backup": z
    .string()
    .optional()
    .describe("Also test on this backup, restored: its id, or latest (the newest of the database)"),
  "from-url": z
    .string()
    .refine((each) => !/^[a-z]+:\/\/[^/@]*:[^/@]*@/i.test(each), {
      error: "must not hold a password: other users of this machine could read it",
      params: { hint: "write a reference instead: env:NAME, file:PATH, cmd:COMMAND" },
    })
    .optional()
    .describe("Also test on a copy of the database with this URL (a reference: env:NAME, file:PATH)"),
  store: name("The store of the backup").optional(),
  to: version("Test up to this version and with it"),
  empty: z.boolean().default(true).describe("Whether all migrations are tested from an empty database, too"),
  report: z.string().optional().describe("Write the report to this file, too"),
});

/**
 * Touches nothing but a server of its own, which is gone when it ends, and the folder of reports: so it is a read.
 * From the real database it only reads what pg_dump reads.
 */
export const test = defineOperation({
  name: "migrate.test",
  summary: "Test migrations up, down and up again on a throw-away server",
  example: "migrate test --from-backup latest",
  effect: "read",
  input,
  output: reportSchema.extend({ path: z.string().describe("Where the report is kept") }),
  observe: async () => null,
  plan: () => [],
  apply: async (context, input, _before, report) => {
    const target = context.environment.database(input.database);
    const source = copySource(input, target, context.environment.directory);
    if (source === undefined && !input.empty) {
      throw new OpsError("E_INPUT", "There is nothing to test on", {
        exitCode: ExitCode.usage,
        hint: "leave --no-empty out, or name a copy: --from-backup latest",
      });
    }
    const folder = await readFolderOf(target);
    refuseProblems(target.name, folder.problems);
    const { to } = input;
    if (to !== undefined) {
      refuseUnknownVersion(
        to,
        folder.migrations.map((each) => each.version),
      );
    }
    const chosen = folder.migrations.filter(
      (each) => to === undefined || folder.compare(each.version, to) <= 0,
    );
    const startedAt = context.clock.now().toISOString();
    const parent = join(context.stateDirectory, "throw-away");
    const { passes, version } = await interruptible(context, async (signal) => {
      if (source !== undefined) await confirmSource(context, source, target, signal);
      return withThrowAwayCluster({ parent, signal }, async (cluster) => {
        const server: DatabaseTarget = {
          ...target,
          url: new Secret(cluster.url(), "/"),
          password: undefined,
        };
        const place = { context, server, signal, report };
        const passes: Pass[] = [];
        if (input.empty) passes.push(await testEmpty(place, chosen));
        if (source !== undefined) {
          passes.push(await testCopy(place, source, target, { ...folder, migrations: chosen }));
        }
        return { passes, version: await serverVersion(place) };
      });
    });
    const tested = passes.flatMap((pass) => pass.migrations.map((each) => each.version));
    const files = chosen.filter((each) => tested.includes(each.version)).map(testedFile);
    const failed = passes.some((pass) => pass.migrations.some((each) => each.verdict !== "pass"));
    const result: MigrationTestReport = {
      format: "ops-migration-test",
      version: 1,
      environment: context.environment.name,
      database: target.name,
      digest: filesDigest(files),
      startedAt,
      finishedAt: context.clock.now().toISOString(),
      actor: context.actor,
      serverVersion: version,
      verdict: failed ? "fail" : "pass",
      files,
      passes,
    };
    if (input.report !== undefined) await writeReportFile(resolve(input.report), result);
    return { ...result, path: await writeReport(context, result) };
  },
  failure: ({ verdict, passes, path }) => {
    if (verdict === "pass") return undefined;
    const failed = new Set(
      passes.flatMap((pass) => pass.migrations.filter((each) => each.verdict === "fail").map(title)),
    );
    return new OpsError("E_MIGRATION_TEST", `The test of ${[...failed].join(", ")} failed`, {
      exitCode: ExitCode.noGo,
      hint: `mend what is named above and test again; the whole report is in ${path}`,
    });
  },
  render: ({ path, ...report }) => `${reportText(report)}\n\nreport: ${path}`,
});

function copySource(
  given: z.output<typeof input>,
  target: DatabaseTarget,
  directory: string,
): CopySource | undefined {
  const { "from-backup": backup, "from-url": url, store } = given;
  if (backup !== undefined && url !== undefined) {
    throw new OpsError("E_INPUT", "Both from-backup and from-url are given, and only one copy is tested", {
      exitCode: ExitCode.usage,
      hint: "leave one of them out",
    });
  }
  if (backup !== undefined) return { kind: "backup", backup, store };
  if (url === undefined) return undefined;
  return { kind: "url", target: { ...target, url: new Secret(url, directory), password: undefined } };
}
