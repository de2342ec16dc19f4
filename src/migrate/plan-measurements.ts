import { z } from "zod";
import type { OperationContext } from "../run/context.ts";
import type { Migration } from "./migration-file.ts";
import type { FileRun, MigrationTestReport } from "./report.ts";
import { blockingSentence } from "./report-estimate.ts";
import { isTested, readReports } from "./report-folder.ts";
import { lossText } from "./report-text.ts";
import type { TableSize } from "./test/relations.ts";

export const measuredSchema = z.object({
  from: z.enum(["empty", "copy"]).describe("An empty database, or a copy of the real one"),
  verdict: z.enum(["pass", "fail", "not-tested"]),
  durationMs: z.number().nullable().describe("Of the up file, on the throw-away server"),
  walBytes: z.number().nullable(),
  blocking: z.array(z.string()).describe("Who will wait, for how long, and how that is known"),
  rewrites: z.array(z.string()).describe("Tables and indexes that are written anew"),
  dataLoss: z.array(z.string()).describe("What the way down costs"),
});

export interface Measurements {
  readonly path: string;
  readonly report: MigrationTestReport;
  /** Times are scaled to the sizes that the real tables have now. */
  measured(
    migration: Migration,
    sizes: ReadonlyMap<string, TableSize>,
  ): z.output<typeof measuredSchema> | undefined;
}

/** The newest report in which exactly these files were tested; undefined where there is none. */
export async function newestMeasurements(
  context: OperationContext,
  database: string,
  migrations: readonly Migration[],
): Promise<Measurements | undefined> {
  if (migrations.length === 0) return undefined;
  const reports = await readReports(context, database);
  const found = reports.find(({ report }) => migrations.every((each) => isTested(report, each)));
  if (found === undefined) return undefined;
  return { ...found, measured: (migration, sizes) => measured(found.report, migration, sizes) };
}

function measured(
  report: MigrationTestReport,
  { version }: Migration,
  sizes: ReadonlyMap<string, TableSize>,
): z.output<typeof measuredSchema> | undefined {
  // What a copy tells goes before what an empty database tells.
  const passes = report.passes.toSorted((a, b) => Number(b.from === "copy") - Number(a.from === "copy"));
  for (const { from, migrations } of passes) {
    const migration = migrations.find((each) => each.version === version);
    if (migration === undefined) continue;
    const { verdict, up, dataLoss } = migration;
    return {
      from,
      verdict,
      durationMs: up?.durationMs ?? null,
      walBytes: up?.walBytes ?? null,
      blocking: (up?.holds ?? []).map((hold) =>
        blockingSentence(hold, from, sizes.get(hold.relation)?.bytes),
      ),
      rewrites: up === null ? [] : rewritten(up),
      dataLoss: dataLoss.map(lossText),
    };
  }
  return undefined;
}

function rewritten({ statements }: FileRun): string[] {
  const names = statements.flatMap((each) => each.rewrites.map((one) => `${one.kind} ${one.relation}`));
  return [...new Set(names)];
}
