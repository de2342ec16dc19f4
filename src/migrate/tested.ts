import { formatDuration, parseDuration } from "../core/duration.ts";
import type { OperationContext } from "../run/context.ts";
import type { Assessment } from "./assessment.ts";
import { type Migration, title } from "./migration-file.ts";
import type { MigrationTestReport } from "./report.ts";
import { coverage, readReports } from "./report-folder.ts";

/** Clocks of two machines may differ a little. */
const clockTolerance = parseDuration("5m");

export interface TestDemands {
  /** Milliseconds. */
  readonly maxAge: number;
  /** Not only on an empty database. */
  readonly onCopy: boolean;
}

export interface Tested {
  readonly tested: boolean;
  /** One clause: `tested 3h ago`, or what is missing and what to run. */
  readonly shown: string;
  /** Path of the report that speaks for it. */
  readonly report: string | null;
}

/** Whether `migrate test` passed with exactly these pending migrations, on top of what is applied. */
export async function readTested(
  context: OperationContext,
  database: string,
  assessment: Assessment,
  pending: readonly Migration[],
  { maxAge, onCopy }: TestDemands,
): Promise<Tested> {
  const applied = assessment.standings.flatMap((each) =>
    each.state === "applied" || each.state === "edited" ? [each.migration] : [],
  );
  const test = "run: ops migrate test";
  const no = (shown: string, report: string | null): Tested => ({ tested: false, shown, report });
  const reports = (await readReports(context, database)).map((each) => ({
    ...each,
    ...coverage(each.report, pending, applied),
  }));
  const [newest] = reports;
  if (newest === undefined) return no(`never tested: ${pending.map(title).join(", ")}; ${test}`, null);
  const covering = reports.find((each) => each.untested.length + each.strange.length === 0);
  if (covering === undefined) return no(`${uncovered(newest)} ${test}`, newest.path);
  const { report, path } = covering;
  const failed = pending.filter((each) => !passed(report, each));
  if (failed.length > 0) return no(`their test failed: ${failed.map(title).join(", ")}; see ${path}`, path);
  if (onCopy && !report.passes.some((each) => each.from === "copy")) {
    return no(`only an empty database was tested; ${test} --from-backup latest`, path);
  }
  const there = onCopy ? pending.filter((each) => !onSomeCopy(report, each)) : [];
  if (there.length > 0) {
    const said = `${there.map(title).join(", ")} ran on no copy, where it was applied already`;
    return no(`${said}; ${test} on a copy without it`, path);
  }
  const age = context.clock.now().getTime() - Date.parse(report.finishedAt);
  if (age > maxAge) {
    const limit = formatDuration(maxAge);
    return no(`the test is ${formatDuration(age)} old, more than ${limit}; ${test}`, path);
  }
  if (age < -clockTolerance) {
    return no(`the test is ${formatDuration(-age)} in the future: clocks differ; ${test}`, path);
  }
  return { tested: true, shown: `tested ${formatDuration(Math.max(0, age))} ago`, report: path };
}

/** Wherever it was tested. An old migration that fails does not bar the way of a new one. */
function passed(report: MigrationTestReport, { version }: Migration): boolean {
  return report.passes.every((pass) =>
    pass.migrations.every((each) => each.version !== version || each.verdict === "pass"),
  );
}

/** Whether it ran there: of a copy that holds it already it is no part. */
function onSomeCopy(report: MigrationTestReport, { version }: Migration): boolean {
  return report.passes.some(
    (pass) => pass.from === "copy" && pass.migrations.some((each) => each.version === version),
  );
}

function uncovered({ untested, strange }: ReturnType<typeof coverage>): string {
  const parts = [
    ...(untested.length > 0 ? [`not tested as the files are now: ${untested.map(title).join(", ")};`] : []),
    ...(strange.length > 0
      ? [`the newest test had ${strange.join(", ")}, which is neither pending nor applied;`]
      : []),
  ];
  return parts.join(" ");
}
