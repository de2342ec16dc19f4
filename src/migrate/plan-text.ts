import type { z } from "zod";
import { formatDuration } from "../core/duration.ts";
import { formatBytes } from "../core/size.ts";
import { title } from "./migration-file.ts";
import type { planOutput } from "./plan.ts";

type Plan = z.output<typeof planOutput>;
type PlannedMigration = Plan["migrations"][number];
type Finding = PlannedMigration["findings"][number];
type Lock = PlannedMigration["statements"][number]["locks"][number];

/** The plan for a person: each file's SQL as it is sent, then what it will lock and what was measured. */
export function planText(plan: Plan): string {
  const { database, current, migrations } = plan;
  const at = `database ${database} is at ${current ?? "no version"}`;
  if (migrations.length === 0) return `${at}, nothing to apply`;
  return [
    `${at}; ${migrations.length} to apply, in this order:`,
    ...plan.warnings.map((each) => `warning: ${each}`),
    ...migrations.flatMap((each) => ["", ...migrationLines(each)]),
    "",
    plan.report === null
      ? "not measured: no report is about exactly these files; make one with\n  ops migrate test --from-backup latest"
      : `measured by the test of ${plan.report.finishedAt} (${plan.report.verdict}): ${plan.report.path}`,
  ].join("\n");
}

function migrationLines(migration: PlannedMigration): string[] {
  const sql = migration.sql.trimEnd().split("\n");
  return [
    title(migration),
    ...traits(migration).map((each) => `  ${each}`),
    ...sql.map((each) => `  | ${each}`.trimEnd()),
    ...migration.statements.flatMap(({ line, locks, unknown }) => [
      ...locks.map((each) => `  line ${line}: ${lockText(each)}`),
      ...(unknown ? [`  line ${line}: calls code whose locks the text does not tell`] : []),
    ]),
    ...migration.findings.flatMap(findingLines),
    ...measuredLines(migration),
  ];
}

/** What the file allows is on its own first lines, with the reason. */
function findingLines({ rule, severity, line, message, instead, allowed }: Finding): string[] {
  if (allowed !== null) return [];
  const way = instead === null ? [] : [`    = ${instead}`];
  return [`  line ${line}: ${severity}: ${message} [${rule}]`, ...way];
}

function traits({ transaction, batch, reversible, phase }: PlannedMigration): string[] {
  return [
    ...(phase === "contract" ? ["phase contract"] : []),
    ...(batch ? ["in batches"] : []),
    ...(transaction || batch ? [] : ["not atomic: a failure leaves what ran before it"]),
    ...(reversible ? [] : ["no way back"]),
  ];
}

function lockText({ relation, mode, blocks, bytes, rows }: Lock): string {
  const count = rows === null ? "" : `, about ${rows.toLocaleString("en")} rows`;
  const size = bytes === null ? "" : ` (${formatBytes(bytes)}${count})`;
  return `${mode} on ${relation}${size}${blocks === "nothing" ? "" : `, blocks ${blocks}`}`;
}

function measuredLines({ measured }: PlannedMigration): string[] {
  if (measured === null) return [];
  const { from, verdict, durationMs, walBytes } = measured;
  const where = from === "copy" ? "on a copy" : "from an empty database";
  const took = durationMs === null || from === "empty" ? "" : `, ${formatDuration(durationMs)}`;
  const wal = walBytes === null || from === "empty" ? "" : ` and ${formatBytes(walBytes)} of WAL`;
  return [
    `  tested ${where}: ${verdict}${took}${wal}`,
    ...measured.blocking.map((each) => `    ${each}`),
    ...measured.rewrites.map((each) => `    rewrites ${each}`),
    ...measured.dataLoss.map((each) => `    data loss: ${each}`),
  ];
}
