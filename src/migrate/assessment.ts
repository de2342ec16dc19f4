import type { HistoryRow } from "./history-table.ts";
import { type Migration, type MigrationFolder, title } from "./migration-file.ts";
import type { Problem } from "./problem.ts";
import { hasChecksum } from "./sql-file.ts";
import { canonicalVersion } from "./version.ts";

/** How one migration stands: its file against its row in the history. */
export type Standing =
  | { readonly state: "applied" | "edited"; readonly row: HistoryRow; readonly migration: Migration }
  | { readonly state: "missing"; readonly row: HistoryRow }
  | {
      readonly state: "pending" | "out-of-order";
      readonly migration: Migration;
      /** Of a repeatable one that has another text than when it was last applied. */
      readonly previous?: HistoryRow;
    };

export interface Assessment {
  /** Every migration that has a file or a row, oldest first. */
  readonly standings: readonly Standing[];
  /** Why nothing may run, unless a policy says otherwise. */
  readonly problems: readonly Problem[];
  /** The newest applied version. */
  readonly current: string | undefined;
}

type Files = Pick<MigrationFolder, "migrations" | "compare">;

/** Compares the files with the history. */
export function assess({ migrations, compare }: Files, history: readonly HistoryRow[]): Assessment {
  const rows = new Map(history.map((row) => [canonicalVersion(row.version), row]));
  const files = new Map(migrations.map((each) => [canonicalVersion(each.version), each]));
  const versioned = history.filter((row) => !files.get(canonicalVersion(row.version))?.repeatable);
  const current = versioned
    .map((row) => row.version)
    .toSorted(compare)
    .at(-1);
  const standings: Standing[] = [
    ...migrations.map((migration): Standing => {
      const row = rows.get(canonicalVersion(migration.version));
      if (row !== undefined) {
        if (hasChecksum(migration.up, row.checksum)) return { state: "applied", row, migration };
        return migration.repeatable
          ? { state: "pending", migration, previous: row }
          : { state: "edited", row, migration };
      }
      const older = !migration.repeatable && current !== undefined && compare(migration.version, current) < 0;
      // A contract migration is left behind on purpose: newer expand migrations go before it.
      const late = older && migration.settings.phase === "expand";
      return { state: late ? "out-of-order" : "pending", migration };
    }),
    ...history
      .filter((row) => !files.has(canonicalVersion(row.version)))
      .map((row): Standing => ({ state: "missing", row })),
  ].sort((a, b) => compare(versionOf(a), versionOf(b)));
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
