import pg from "pg";
import { OpsError, UsageError } from "../core/errors.ts";
import type { FormatName } from "./formats/format.ts";
import { sqitchPlanFile, sqitchProject } from "./formats/sqitch-plan.ts";
import type { MigrationFolder } from "./migration-file.ts";
import { canonicalVersion, compareVersions } from "./version.ts";

/** A migration that another tool says is applied. */
export interface ForeignRow {
  readonly version: string;
  /** ISO 8601; null where the tool does not keep it. */
  readonly at: string | null;
  readonly by: string | null;
}

interface Source {
  readonly table: string;
  /** Reads it. The table's name stands for `TABLE`. Columns: version, at, by. */
  readonly sql: string;
  /** What its parameters are, from the folder. */
  values?(folder: MigrationFolder): readonly (string | null)[];
  /** What the rows stand for. Default: one migration each. */
  expand?(rows: readonly ForeignRow[], folder: MigrationFolder): readonly ForeignRow[];
}

const iso = (column: string) =>
  `to_char(${column}::timestamptz AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')`;

export const sources: Readonly<Record<Exclude<FormatName, "ops">, Source>> = {
  dbmate: {
    table: "schema_migrations",
    sql: "SELECT version::text, NULL AS at, NULL AS by FROM TABLE",
  },
  "golang-migrate": {
    table: "schema_migrations",
    sql: "SELECT version::text || CASE WHEN dirty THEN ' dirty' ELSE '' END AS version, NULL AS at, NULL AS by FROM TABLE",
    // It keeps the newest version only: everything up to it is applied.
    expand: ([row], folder) => (row === undefined ? [] : upTo(refuseDirty(row), folder)),
  },
  goose: {
    table: "goose_db_version",
    // A way back adds a row; the newest one of a version counts.
    sql: `SELECT version_id::text AS version, ${iso("tstamp")} AS at, NULL AS by
            FROM (SELECT DISTINCT ON (version_id) * FROM TABLE ORDER BY version_id, id DESC) AS newest
           WHERE is_applied AND version_id > 0`,
  },
  diesel: {
    table: "__diesel_schema_migrations",
    sql: `SELECT version, ${iso("run_on")} AS at, NULL AS by FROM TABLE`,
  },
  flyway: {
    table: "flyway_schema_history",
    // A way back adds a row of its own; the newest one of a version counts, also where it is a failure.
    sql: `SELECT CASE WHEN NOT success THEN 'failed ' || coalesce(version, script)
                      WHEN type LIKE '%BASELINE%' THEN 'baseline ' || version
                      ELSE coalesce(version, regexp_replace(script, '^.*?(R__.*)\\.sql$', '\\1')) END AS version,
                 ${iso("installed_on")} AS at, installed_by AS by
            FROM (SELECT DISTINCT ON (coalesce(version, script)) * FROM TABLE WHERE type <> 'SCHEMA'
                   ORDER BY coalesce(version, script), installed_rank DESC) AS newest
           WHERE NOT success OR (type NOT LIKE 'UNDO%' AND type <> 'DELETE')`,
    expand: (rows, folder) =>
      refuseFailed(rows).flatMap((row) =>
        row.version.startsWith("baseline ")
          ? upTo({ ...row, version: row.version.slice("baseline ".length) }, folder)
          : [row],
      ),
  },
  "node-pg-migrate": {
    table: "pgmigrations",
    sql: `SELECT substring(name FROM '^\\d+') AS version, ${iso("run_on")} AS at, NULL AS by FROM TABLE`,
  },
  sqitch: {
    table: "sqitch.changes",
    sql: `SELECT change AS version, ${iso("committed_at")} AS at, committer_name AS by FROM TABLE
           WHERE $1::text IS NULL OR project = $1 ORDER BY committed_at`,
    // Several projects may keep their changes in one registry.
    values: ({ listing }) => [sqitchProject(listing.text(sqitchPlanFile) ?? "") ?? null],
    expand: reworked,
  },
};

const undefinedTable = "42P01";

/** What the other tool's table says is applied. Throws `E_MIGRATION_HISTORY` where there is none. */
export async function readForeignHistory(
  client: pg.ClientBase,
  from: keyof typeof sources,
  table: string | undefined,
  folder: MigrationFolder,
): Promise<readonly ForeignRow[]> {
  const source = sources[from];
  const name = (table ?? source.table).split(".").map(pg.escapeIdentifier).join(".");
  try {
    const { rows } = await client.query<ForeignRow>(source.sql.replace("TABLE", name), [
      ...(source.values?.(folder) ?? []),
    ]);
    return source.expand?.(rows, folder) ?? rows;
  } catch (error) {
    if (!(error instanceof pg.DatabaseError) || error.code !== undefinedTable) throw error;
    throw new UsageError(
      "E_MIGRATION_HISTORY",
      `The database has no table ${name}, where ${from} keeps its history`,
      {
        cause: error,
        hint: "name the table with --table SCHEMA.TABLE, or see another tool with --from",
      },
    );
  }
}

function refuseDirty(row: ForeignRow): ForeignRow {
  if (!row.version.endsWith(" dirty")) return row;
  const version = row.version.replace(/ dirty$/, "");
  throw new OpsError(
    "E_MIGRATION_HISTORY",
    `golang-migrate has left version ${version} dirty: it failed in the middle, and nobody knows how far it came`,
    { hint: `mend the database and run: migrate force ${version}`, retryable: false },
  );
}

function refuseFailed(rows: readonly ForeignRow[]): readonly ForeignRow[] {
  const failed = rows.find((row) => row.version.startsWith("failed "));
  if (failed === undefined) return rows;
  const version = failed.version.slice("failed ".length);
  throw new OpsError(
    "E_MIGRATION_HISTORY",
    `flyway has recorded that version ${version} failed: nobody knows how far it came`,
    { hint: "mend the database and run: flyway repair", retryable: false },
  );
}

function upTo(row: ForeignRow, folder: MigrationFolder): ForeignRow[] {
  const known = folder.migrations.filter(
    (each) => !each.repeatable && compareVersions(each.version, row.version) <= 0,
  );
  const there = known.some((each) => canonicalVersion(each.version) === canonicalVersion(row.version));
  return [...known.map((each) => ({ ...row, version: each.version })), ...(there ? [] : [row])];
}

/** A reworked change is in sqitch's table once for each time; its scripts have names of their own (`users@v1`). */
function reworked(rows: readonly ForeignRow[], folder: MigrationFolder): ForeignRow[] {
  const seen = new Map<string, number>();
  return rows.map((row) => {
    const nth = seen.get(row.version) ?? 0;
    seen.set(row.version, nth + 1);
    const scripts = folder.migrations.filter((each) => each.version.split("@")[0] === row.version);
    return { ...row, version: scripts[nth]?.version ?? row.version };
  });
}
