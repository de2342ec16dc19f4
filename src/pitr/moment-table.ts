import type pg from "pg";
import { z } from "zod";
import type { DatabaseTarget } from "../config/environment.ts";
import { OpsError, UsageError } from "../core/errors.ts";
import { duration, name } from "../core/schema.ts";
import { nearest } from "../core/suggestion.ts";
import { withConnection } from "../postgres/connection.ts";
import type { OperationContext } from "../run/context.ts";
import type { Report } from "../run/operation.ts";
import { parseLsn } from "../wal-archive/lsn.ts";
import { archiveUpToNow } from "./archive-now.ts";
import { openArchive } from "./open-archive.ts";
import { restoreCommand, scratchDir } from "./restore-fields.ts";
import { parseTarget, shownTarget, targetFields } from "./restore-target.ts";
import {
  planScratchCluster,
  type ScratchCluster,
  type ScratchOptions,
  type ScratchPlan,
  withScratchCluster,
} from "./scratch-cluster.ts";
import { parseTableName, shownName, type TableName } from "./table-name.ts";
import { prepareRowSession, readShape, schemaOf, type TableShape } from "./table-shape.ts";
import { checkWhere, checkWhereSyntax } from "./where-condition.ts";

/** What every look at a table as it was is asked. */
export const tableFields = {
  table: z.string().min(1).describe('The table, as in SQL: orders, shop.orders, "Odd Name"'),
  ...targetFields,
  where: z.string().min(1).optional().describe("Only rows for which this SQL condition is true"),
  key: z
    .array(z.string().min(1))
    .default([])
    .describe("Columns that tell rows apart, by their names as they are; default: the primary key"),
  database: name("The database; its pitr settings say where the archive is").optional(),
  store: name("The store to restore from; default: the first one of its pitr settings").optional(),
  timeline: z.int().positive().optional().describe("Default: the newest one that the archive has"),
  base: z.string().optional().describe("The base backup to begin with; default: the best one"),
  "scratch-dir": scratchDir,
  "wal-timeout": duration("How long to wait until the WAL of now is archived").prefault("1m"),
  "restore-command": restoreCommand,
};

const tableInput = z.strictObject(tableFields);
export type TableInput = z.output<typeof tableInput>;

/** What can be known of it before anything is restored. Plain data. */
export interface PlannedTable {
  readonly database: string;
  /** Its name on the server. */
  readonly catalog: string;
  readonly schema: string;
  readonly name: string;
  /** Whether it is there now. */
  readonly isThere: boolean;
  readonly base: string;
  readonly basedOn: string;
  /** Bytes of disk for the temporary cluster. */
  readonly bytes: number;
  readonly moment: string;
  /** What may turn out to be a mistake once the moment is restored. */
  readonly doubts: string[];
}

/**
 * Reads only. Throws `E_INPUT`, `E_RESTORE_TARGET`, `E_DISK_SPACE` and what a connection throws.
 *
 * @param conditionHolds where `--where` is asked: of the table as it was, or as it is now as well
 */
export async function planTable(
  context: OperationContext,
  input: TableInput,
  conditionHolds: "then" | "both",
): Promise<PlannedTable> {
  const moment = shownTarget(parseTarget(input));
  const asked = parseTableName(input.table);
  await checkWhereSyntax(input.where);
  const database = context.environment.database(input.database);
  const found = await withConnection(database, { signal: context.signal }, async (client) => {
    await client.query("BEGIN READ ONLY");
    const { rows } = await client.query<{ catalog: string; schema: string | null }>(
      "SELECT current_database() AS catalog, current_schema() AS schema",
    );
    const schema = asked.schema ?? (await schemaOf(client, asked.name)) ?? rows[0]?.schema ?? "public";
    const table = { schema, name: asked.name };
    const shape = await readShape(client, table);
    const unknown = input.key.find((each) => shape?.columns.every((column) => column.name !== each));
    if (shape !== undefined && unknown !== undefined) {
      throw new UsageError("E_INPUT", `${shownName(table)} has no column "${unknown}" for the key`, {
        hint: `it has: ${shape.columns.map((each) => each.name).join(", ")}`,
      });
    }
    const doubts: string[] = [];
    if (shape === undefined) {
      const similar = await similarTable(client, table);
      const instead = similar === undefined ? "" : `; there is ${similar}`;
      doubts.push(
        `there is no table ${shownName(table)} now${instead}: whether there was one shows the restore`,
      );
    } else if (input.where !== undefined) {
      await prepareRowSession(client, schema);
      await checkWhere(client, table, input.where).catch((error: unknown) => {
        // A column that is not there now may have been there then.
        const isUnknown = error instanceof UsageError && /column .* does not exist/.test(error.message);
        if (!isUnknown || conditionHolds === "both") throw error;
        doubts.push(`${error.message} now: whether it did shows the restore`);
      });
    }
    return { ...table, catalog: rows[0]?.catalog ?? "postgres", isThere: shape !== undefined, doubts };
  });
  const { base, basedOn, bytes } = await plannedCluster(context, input, database);
  return { database: database.name, ...found, base, basedOn, bytes, moment };
}

/** A position that is written but not archived yet is archived before the restore. */
async function plannedCluster(
  context: OperationContext,
  input: TableInput,
  database: DatabaseTarget,
): Promise<ScratchPlan> {
  const options = scratchOptions(input);
  try {
    return await planScratchCluster(context, options);
  } catch (error) {
    const { "to-lsn": position, ...rest } = options;
    const isOutside = error instanceof OpsError && error.code === "E_RESTORE_TARGET";
    if (position === undefined || !isOutside || !(await isWritten(database, position, context.signal)))
      throw error;
    const plan = await planScratchCluster(context, { ...rest, latest: true });
    // Without a base backup before the position there is no way to it either.
    const { stopLsn } = await (await openArchive(database, input.store, context.signal)).base(plan.base);
    if (parseLsn(stopLsn) > parseLsn(position)) throw error;
    return plan;
  }
}

async function isWritten(database: DatabaseTarget, position: string, signal: AbortSignal): Promise<boolean> {
  return withConnection(database, { signal }, async (client) => {
    const { rows } = await client.query<{ yes: boolean }>(
      "SELECT NOT pg_is_in_recovery() AND pg_current_wal_insert_lsn() >= $1::pg_lsn AS yes",
      [position],
    );
    return rows[0]?.yes === true;
  });
}

async function similarTable(client: pg.Client, { schema, name }: TableName): Promise<string | undefined> {
  const { rows } = await client.query<{ name: string }>(
    `SELECT c.relname AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
      WHERE n.nspname = $1 AND c.relkind IN ('r', 'p', 'm')`,
    [schema],
  );
  return nearest(
    name,
    rows.map((each) => each.name),
  );
}

/** The table as it was, in a session of the temporary cluster that only reads. */
export interface MomentTable {
  readonly client: pg.Client;
  readonly target: DatabaseTarget;
  readonly shape: TableShape;
  readonly scratch: ScratchCluster;
}

/**
 * Restores the moment into a temporary cluster and works with the table as it was there. Throws what
 * `withScratchCluster` throws, `E_TABLE_UNKNOWN`, and `E_INPUT` where the condition does not fit the table.
 */
export async function withMomentTable<T>(
  context: OperationContext,
  input: TableInput,
  planned: Pick<PlannedTable, "database" | "catalog" | "schema" | "name" | "base" | "moment">,
  report: Report,
  signal: AbortSignal,
  work: (then: MomentTable) => Promise<T>,
): Promise<T> {
  const { database, store, "wal-timeout": timeout, where } = input;
  await archiveUpToNow(context, { database, store, timeout }, report, signal);
  const options = { ...scratchOptions(input), base: planned.base };
  return withScratchCluster(context, options, report, signal, async (scratch) => {
    const { server } = scratch;
    await requireDatabase(scratch, planned, signal);
    return withConnection(server, { signal, database: planned.catalog }, async (client) => {
      await client.query("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY");
      const shape = requireRows(await readShape(client, planned), planned);
      await prepareRowSession(client, planned.schema);
      if (where !== undefined) await checkWhere(client, planned, where);
      return work({ client, target: server, shape, scratch });
    });
  });
}

function scratchOptions(input: TableInput): ScratchOptions {
  return {
    database: input.database,
    store: input.store,
    "to-time": input["to-time"],
    "to-lsn": input["to-lsn"],
    "to-xid": input["to-xid"],
    "to-name": input["to-name"],
    latest: input.latest,
    timeline: input.timeline,
    base: input.base,
    "scratch-dir": input["scratch-dir"],
    "restore-command": input["restore-command"],
  };
}

async function requireDatabase(
  { server }: ScratchCluster,
  { catalog, moment }: Pick<PlannedTable, "catalog" | "moment">,
  signal: AbortSignal,
): Promise<void> {
  const { rowCount } = await withConnection(server, { signal }, (client) =>
    client.query("SELECT FROM pg_database WHERE datname = $1", [catalog]),
  );
  if (rowCount === 1) return;
  throw new UsageError("E_TABLE_UNKNOWN", `The cluster had no database ${catalog} at ${moment}`, {
    hint: "choose another moment",
  });
}

/** Throws `E_TABLE_UNKNOWN` where there was no such table, or where its rows are not in the archive. */
function requireRows(
  shape: TableShape | undefined,
  planned: TableName & Pick<PlannedTable, "moment">,
): TableShape {
  const table = shownName(planned);
  if (shape === undefined) {
    throw new UsageError("E_TABLE_UNKNOWN", `There was no table ${table} at ${planned.moment}`, {
      hint: "choose another moment; name the schema where it is not on the search path: --table schema.name",
    });
  }
  if (!["r", "p", "m"].includes(shape.kind)) {
    throw new UsageError(
      "E_TABLE_UNKNOWN",
      `${table} has no rows of its own: it is a view or a foreign table`,
      {
        hint: "name the table that the rows are in",
      },
    );
  }
  if (shape.isUnlogged) {
    throw new UsageError("E_TABLE_UNKNOWN", `${table} is unlogged: its rows are never in the WAL`, {
      hint: "take them from a dump: ops backup restore",
    });
  }
  const [part] = shape.partsElsewhere;
  if (part !== undefined) {
    throw new UsageError(
      "E_TABLE_UNKNOWN",
      `${table} has a partition whose rows are not in the WAL: ${part}`,
      {
        hint: "it is unlogged or a foreign table; name the partition that the rows are in: --table",
      },
    );
  }
  return shape;
}
