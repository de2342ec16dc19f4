import type { HistoryRow } from "./history-table.ts";
import { type Migration, type SqlFile, title } from "./migration-file.ts";
import type { Problem } from "./problem.ts";
import { placeOfIndex } from "./sql-position.ts";
import { transactionStatements } from "./transaction-control.ts";
import { canonicalVersion, compareVersions } from "./version.ts";

/** How one migration stands: its file against its row in the history. */
export type Standing =
  | { readonly state: "applied" | "edited"; readonly row: HistoryRow; readonly migration: Migration }
  | { readonly state: "missing"; readonly row: HistoryRow }
  | { readonly state: "pending" | "out-of-order"; readonly migration: Migration };

export interface Assessment {
  /** Every migration that has a file or a row, oldest first. */
  readonly standings: readonly Standing[];
  /** Why nothing may run. */
  readonly problems: readonly Problem[];
  /** The newest applied version. */
  readonly current: string | undefined;
}

/** Compares the files with the history. */
export function assess(migrations: readonly Migration[], history: readonly HistoryRow[]): Assessment {
  const rows = new Map(history.map((row) => [canonicalVersion(row.version), row]));
  const known = new Set(migrations.map((each) => canonicalVersion(each.version)));
  const current = [...history].sort((a, b) => compareVersions(a.version, b.version)).at(-1)?.version;
  const standings: Standing[] = [
    ...migrations.map((migration): Standing => {
      const row = rows.get(canonicalVersion(migration.version));
      if (row !== undefined) {
        return { state: row.checksum === migration.up.checksum ? "applied" : "edited", row, migration };
      }
      const late = current !== undefined && compareVersions(migration.version, current) < 0;
      return { state: late ? "out-of-order" : "pending", migration };
    }),
    ...history
      .filter((row) => !known.has(canonicalVersion(row.version)))
      .map((row): Standing => ({ state: "missing", row })),
  ].sort((a, b) => compareVersions(versionOf(a), versionOf(b)));
  return { standings, problems: standings.flatMap((each) => problemOf(each, current)), current };
}

export function versionOf(standing: Standing): string {
  return "migration" in standing ? standing.migration.version : standing.row.version;
}

function problemOf(standing: Standing, current: string | undefined): Problem[] {
  switch (standing.state) {
    case "edited":
      return [
        {
          kind: "edited",
          message: `${standing.migration.up.name} was changed after it was applied`,
          hint: "restore the file as it was applied, and write the change as a new migration",
        },
      ];
    case "missing":
      return [
        {
          kind: "missing",
          message: `${title(standing.row)} is applied but has no file`,
          hint: `restore ${title(standing.row)}.up.sql, or check out the version of the code that has it`,
        },
      ];
    case "out-of-order":
      return [
        {
          kind: "out-of-order",
          message: `${standing.migration.up.name} is not applied but older than ${current}, which is`,
          hint: `give it a version newer than ${current}`,
        },
      ];
    default:
      return [];
  }
}

/** The statements of a file that would end our transaction in the middle of it. */
export function transactionProblems(file: SqlFile): Problem[] {
  return transactionStatements(file.sql).map(({ keyword, index }) => ({
    kind: "transaction-control",
    message: `${file.name}:${placeOfIndex(file.sql, index).position.line}: ${keyword} is not allowed in a migration`,
    hint: "remove it: each file runs in one transaction of its own, together with its record",
  }));
}
