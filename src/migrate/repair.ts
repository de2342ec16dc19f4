import { z } from "zod";
import { UsageError } from "../core/errors.ts";
import { defineOperation } from "../run/operation.ts";
import { type Assessment, versionOf } from "./assessment.ts";
import { otherDirection } from "./half-done-file.ts";
import { ensureHistoryTable, type HistoryRow } from "./history-table.ts";
import { database, lockFields, refuseUnknownVersion } from "./input.ts";
import { title } from "./migration-file.ts";
import type { StatementProgress } from "./progress-table.ts";
import { findings, restoreSql, settleSql } from "./repair-findings.ts";
import { attribution } from "./run-migration.ts";
import { includesVersion } from "./selection.ts";
import { survey, surveyInside, withMigrationSession } from "./session.ts";
import { commitOwn } from "./sql-message.ts";

const versions = (description: string) =>
  z
    .array(z.union([z.string(), z.number().int().nonnegative()]).transform(String))
    .default([])
    .describe(description);

type RepairBefore = {
  readonly database: string;
  readonly found: {
    version: string;
    name: string;
    kind: "edited" | "missing" | "half-done";
    message: string;
  }[];
  readonly rows: { [K in keyof HistoryRow]: HistoryRow[K] }[];
  readonly progress: { [K in keyof StatementProgress]: StatementProgress[K] }[];
};

export const repair = defineOperation({
  name: "migrate.repair",
  summary: "List records that do not fit the files, and settle those that are named",
  example: "migrate repair --accept 0007",
  effect: "change",
  input: z.strictObject({
    database,
    accept: versions(
      "Versions to settle: an edited file counts as what was applied, a missing one is forgotten, the statement that an earlier run died in counts as done",
    ),
    retry: versions("Versions whose statement that an earlier run died in had no effect and is to run again"),
    "lock-wait": lockFields["lock-wait"],
  }),
  output: z.object({
    database: z.string().describe("The database"),
    found: z
      .array(
        z.object({
          version: z.string().describe("Version of the migration"),
          name: z.string().describe("Name of the migration"),
          kind: z.enum(["edited", "missing", "half-done"]).describe("What does not fit"),
          message: z.string().describe("The same as a sentence"),
        }),
      )
      .describe("What did not fit before"),
    settled: z.array(z.string()).describe("Versions that were settled"),
  }),
  targets: ({ database }, environment) => [`database:${environment.database(database).name}`],
  observe: async (context, input): Promise<RepairBefore> => {
    const target = context.environment.database(input.database);
    const { assessment, history, halfDone } = await survey(context, target);
    const found = findings(assessment, halfDone);
    for (const each of [...input.accept, ...input.retry]) {
      const known = found.map((one) => one.version);
      if (!includesVersion(known, each) && includesVersion(assessment.standings.map(versionOf), each)) {
        throw new UsageError("E_INPUT", `There is nothing to settle about version ${each}`, {
          hint: "see what there is: ops migrate repair",
        });
      }
      refuseUnknownVersion(each, known);
    }
    refuseWhatGoesOn(assessment, halfDone, input);
    for (const each of input.retry) {
      if (!halfDone.some((one) => includesVersion([each], one.version))) {
        throw new UsageError("E_INPUT", `${each} is not half done, so there is nothing to run again`, {
          hint: `settle it with: ops migrate repair --accept ${each}`,
        });
      }
      if (includesVersion(input.accept, each)) {
        throw new UsageError("E_INPUT", `${each} is in both accept and retry`, {
          hint: "leave one of them out",
        });
      }
    }
    return {
      database: target.name,
      found,
      rows: history.filter((row) => includesVersion(input.accept, row.version)).map((row) => ({ ...row })),
      progress: halfDone.map((each) => ({ ...each })),
    };
  },
  plan: (before, input) =>
    before.found
      .filter((each) => includesVersion([...input.accept, ...input.retry], each.version))
      .map((each) => ({
        target: `database:${before.database}`,
        action: "update",
        summary: `settle ${title(each)} (${each.kind}): ${each.message}`,
      })),
  apply: async (context, input, before, report) => {
    const target = context.environment.database(input.database);
    const wanted = [...input.accept, ...input.retry];
    if (wanted.length > 0) {
      await withMigrationSession(context, target, input["lock-wait"], report, async (session) => {
        await ensureHistoryTable(session.client);
        const { assessment, halfDone } = await surveyInside(session);
        const sql = await settleSql(assessment, halfDone, input, attribution(session));
        await commitOwn(session, sql.join("\n"));
      });
    }
    const settled = before.found.filter((each) => includesVersion(wanted, each.version));
    return { database: target.name, found: before.found, settled: settled.map((each) => each.version) };
  },
  undo: async (context, input, before, report) => {
    const target = context.environment.database(input.database);
    return withMigrationSession(context, target, input["lock-wait"], report, async (session) => {
      const progress = before.progress.filter((each) =>
        includesVersion([...input.accept, ...input.retry], each.version),
      );
      const sql = restoreSql(before.rows, progress, attribution(session));
      await commitOwn(session, sql.join("\n"));
      return { undone: true };
    });
  },
  render: ({ database, found, settled }) =>
    found.length === 0
      ? `nothing to repair in database ${database}`
      : [
          ...found.map(
            (each) =>
              `${settled.includes(each.version) ? "settled" : "open   "}  ${title(each)}  ${each.message}`,
          ),
          ...(settled.length < found.length
            ? ["settle each that is right as it is: ops migrate repair --accept VERSION"]
            : []),
        ].join("\n"),
});

/** Of a file that failed and was not killed no statement is in doubt: to settle it would change nothing. */
function refuseWhatGoesOn(
  { standings }: Assessment,
  halfDone: readonly StatementProgress[],
  { accept, retry }: { readonly accept: readonly string[]; readonly retry: readonly string[] },
): void {
  for (const place of halfDone.filter((each) => each.started === null)) {
    if (!includesVersion([...accept, ...retry], place.version)) continue;
    const standing = standings.find((each) => includesVersion([versionOf(each)], place.version));
    // An edited file is what is settled then, and a half-done one without its file is forgotten.
    if (standing === undefined || standing.state === "edited" || standing.state === "missing") continue;
    if (place.direction === "down" && standing.migration.down === undefined) continue;
    throw new UsageError("E_INPUT", `${otherDirection(place).message}, and none is in doubt`, {
      hint: `mend what is left of its file, and run: ops migrate ${place.direction}`,
    });
  }
}
