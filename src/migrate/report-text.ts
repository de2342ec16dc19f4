import { formatDuration } from "../core/duration.ts";
import { formatBytes } from "../core/size.ts";
import { title } from "./migration-file.ts";
import type { DataLoss, MigrationTestReport, Pass, StatementRun, TestedMigration } from "./report.ts";
import { blockingSentence } from "./report-estimate.ts";
import { compareModes } from "./test/lock-mode.ts";

/** The report for a person: what failed, what is lost, and who will wait, with as few lines as that takes. */
export function reportText(report: MigrationTestReport): string {
  const time = formatDuration(Date.parse(report.finishedAt) - Date.parse(report.startedAt));
  return [
    `migrations of database ${report.database}: ${report.verdict} (PostgreSQL ${report.serverVersion}, ${time})`,
    ...report.passes.flatMap((each) => ["", ...passLines(each)]),
  ].join("\n");
}

function passLines(pass: Pass): string[] {
  const { migrations } = pass;
  const count = (verdict: TestedMigration["verdict"]) =>
    migrations.filter((each) => each.verdict === verdict).length;
  const oneWay = migrations.filter((each) => each.oneWay && each.verdict === "pass").length;
  const counts = [
    `${count("pass")} pass${oneWay === 0 ? "" : ` (${oneWay} one-way: without a down file)`}`,
    ...(count("fail") > 0 ? [`${count("fail")} fail`] : []),
    ...(count("not-tested") > 0
      ? [`${count("not-tested")} not tested, since one before left an unknown state`]
      : []),
  ];
  return [
    `${passTitle(pass)}: ${migrations.length === 0 ? "nothing is pending" : counts.join(", ")}`,
    ...pass.notes.map((each) => `  note: ${each}`),
    ...migrations.flatMap((each) => migrationLines(each, pass.from)),
  ];
}

function passTitle({ from, source, bytes }: Pass): string {
  if (from === "empty") return "from an empty database";
  const what = source?.kind === "backup" ? `backup ${source.id}` : (source?.id ?? "");
  return `from a copy of ${what} (${formatBytes(bytes)}, data of ${source?.dataFrom})`;
}

/**
 * On an empty database a migration that passes is not worth a line: its times say nothing, and what its way down drops
 * is what its way up made.
 */
function migrationLines(migration: TestedMigration, from: Pass["from"]): string[] {
  const losses = migration.dataLoss.filter((each) => from === "copy" || !each.kind.endsWith("-dropped"));
  const details = [
    ...problemLines(migration),
    ...losses.map((each) => `    data loss: ${lossText(each)}`),
    ...(from === "copy" ? measuredLines(migration) : []),
  ];
  if (from === "empty" && details.length === 0) return [];
  const verdict = migration.verdict === "not-tested" ? "----" : migration.verdict;
  const oneWay = migration.oneWay ? "  one-way: it has no down file" : "";
  return [`  ${verdict}  ${title(migration)}${times(migration, from)}${oneWay}`, ...details];
}

function times({ up, down }: TestedMigration, from: Pass["from"]): string {
  if (from === "empty" || up === null) return "";
  const back = down === null ? "" : `, down ${formatDuration(down.durationMs)}`;
  return `  up ${formatDuration(up.durationMs)} with ${formatBytes(up.walBytes)} of WAL${back}`;
}

function problemLines({ problem }: TestedMigration): string[] {
  if (problem === null) return [];
  const [first = "", ...rest] = problem.message.split("\n");
  return [
    `    ${problem.step}: ${first}`,
    ...rest.map((each) => `      ${each}`),
    ...problem.differences.map((each) => `      ${each}`),
  ];
}

function measuredLines({ up }: TestedMigration): string[] {
  if (up === null) return [];
  const sentences = up.holds.map((each) => `    ${blockingSentence(each, "copy")}`);
  return [...sentences, ...up.statements.flatMap(statementLines)];
}

/** Only statements that an engineer would ask about: a rewrite, or a lock that others wait for. */
function statementLines(statement: StatementRun): string[] {
  const rewrites = statement.rewrites.map(
    (each) => `rewrites ${each.kind} ${each.relation} (${formatBytes(each.bytes)})`,
  );
  // An index is locked with its table, which is what people know.
  const locks = statement.locks
    .filter((each) => each.kind !== "index" && compareModes(each.mode, "ROW EXCLUSIVE") >= 0)
    .map((each) => `${each.mode} on ${each.kind === "table" ? "" : `${each.kind} `}${each.relation}`);
  if (rewrites.length + locks.length === 0) return [];
  const sampled = statement.locksSeen === "sampled" ? " (locks sampled)" : "";
  return [
    `    line ${statement.line}: ${statement.sql}`,
    `      ${formatDuration(statement.durationMs)}${sampled}: ${[...rewrites, ...locks].join("; ")}`,
  ];
}

export function lossText({ kind, object, held, left }: DataLoss): string {
  const count = (value: number, what: string) =>
    `${value.toLocaleString("en")} ${what}${value === 1 ? "" : "s"}`;
  switch (kind) {
    case "rows-lost":
      return `${object} held ${count(held, "row")} before up and holds ${left.toLocaleString("en")} after down`;
    case "rows-changed":
      return `rows of ${object} hold other values after down than before up, taken from one another`;
    case "position-lost":
      return `sequence ${object} would have given ${held} before up and gives ${left} after down`;
    case "values-lost":
      return `${object} held ${count(held, "value")} before up and holds ${left.toLocaleString("en")} after down`;
    case "values-changed":
      return `${object} holds other values after down than before up`;
    case "table-dropped":
      return `down drops table ${object}, which held ${count(held, "row")}`;
    case "column-dropped":
      return `down drops column ${object}, which held ${count(held, "value")}`;
  }
}
