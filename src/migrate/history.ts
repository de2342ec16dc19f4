import { z } from "zod";
import { formatDuration } from "../core/duration.ts";
import { withConnection } from "../postgres/connection.ts";
import { defineOperation } from "../run/operation.ts";
import { rowsIfThere } from "./history-table.ts";
import { database } from "./input.ts";
import { title } from "./migration-file.ts";

const entrySchema = z.object({
  at: z.string().describe("When (ISO 8601, UTC)"),
  action: z
    .enum(["up", "down", "adopt", "baseline", "repair", "forget"])
    .describe(
      "up: applied; down: taken back; adopt, baseline: taken for applied; repair, forget: the record was mended",
    ),
  version: z.string().describe("Version of the migration"),
  name: z.string().describe("Name of the migration"),
  actor: z.string().describe("By whom"),
  runId: z.string().nullable().describe("The run, for ops runs show; null outside one"),
  durationMs: z.number().nullable().describe("How long its file took; null where none ran"),
});

export const history = defineOperation({
  name: "migrate.history",
  summary: "Show what was done to the migrations: who, when, how long, in which run",
  example: "migrate history --last 20",
  effect: "read",
  input: z.strictObject({
    database,
    last: z.int().min(1, "must be at least 1").default(50).describe("How many entries, the newest"),
  }),
  output: z.object({
    database: z.string().describe("The database"),
    entries: z.array(entrySchema).describe("Oldest first"),
  }),
  observe: async () => null,
  plan: () => [],
  apply: async (context, input) => {
    const target = context.environment.database(input.database);
    const entries = await withConnection(target, { signal: context.signal }, (client) =>
      rowsIfThere<z.output<typeof entrySchema>>(
        client,
        `SELECT * FROM (
           SELECT to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') AS at, action, version, name, actor,
                  run_id AS "runId", duration_ms AS "durationMs", id
             FROM ops.migration_log ORDER BY id DESC LIMIT ${input.last}) AS newest ORDER BY id`,
      ),
    );
    return {
      database: target.name,
      entries: entries.map(({ at, action, version, name, actor, runId, durationMs }) => ({
        at,
        action,
        version,
        name,
        actor,
        runId,
        durationMs,
      })),
    };
  },
  render: ({ database, entries }) => {
    if (entries.length === 0) return `nothing was done to the migrations of database ${database} yet`;
    return entries
      .flatMap(({ at, action, version, name, actor, durationMs, runId }) => [
        `${at.replace(/\.\d+Z$/, "Z")}  ${action.padEnd(8)}  ${title({ version, name })}`,
        [
          `  by ${actor}`,
          durationMs === null ? "" : ` in ${formatDuration(durationMs)}`,
          runId === null ? "" : `, run ${runId}`,
        ].join(""),
      ])
      .join("\n");
  },
});
