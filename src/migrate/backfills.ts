import { z } from "zod";
import { formatDuration } from "../core/duration.ts";
import { formatPercent } from "../core/percent.ts";
import { withConnection } from "../postgres/connection.ts";
import { migrationLock, opsLockSpace } from "../postgres/ops-schema.ts";
import { defineOperation } from "../run/operation.ts";
import { type BackfillPlace, readPlaces } from "./batch/place-table.ts";
import { readHistory } from "./history-table.ts";
import { database } from "./input.ts";
import { title } from "./migration-file.ts";
import { includesVersion } from "./selection.ts";

const backfillSchema = z.object({
  version: z.string().describe("Version of the migration"),
  name: z.string().describe("Name of the migration"),
  direction: z.enum(["up", "down"]).describe("down: it is being taken back"),
  state: z
    .enum(["running", "stopped", "paused", "done"])
    .describe("stopped: it is not at its end, and nobody runs migrations now"),
  rowsDone: z.number().describe("Rows gone through"),
  rowsChanged: z.number().describe("Rows that its statement changed"),
  rowsExpected: z.number().describe("The server's estimate when it began"),
  batches: z.number().describe("Batches so far"),
  batchSize: z.number().describe("Rows of the next batch"),
  rowsPerSecond: z.number().describe("While a batch is under way, without pauses"),
  position: z.string().nullable().describe("The last key that is done; null before the first batch"),
  runId: z.string().nullable().describe("The run that worked on it last"),
  startedAt: z.string().describe("When (ISO 8601, UTC)"),
  updatedAt: z.string().describe("When its last batch was committed (ISO 8601, UTC)"),
});

export const backfills = defineOperation({
  name: "migrate.backfills",
  summary: "Show how far migrations that run in batches have come",
  example: "migrate backfills",
  effect: "read",
  input: z.strictObject({ database }),
  output: z.object({
    database: z.string().describe("The database"),
    backfills: z.array(backfillSchema).describe("The newest first"),
  }),
  observe: async () => null,
  plan: () => [],
  apply: async (context, input) => {
    const target = context.environment.database(input.database);
    const options = { signal: context.signal, applicationName: "ops migrate backfills" };
    return withConnection(target, options, async (client) => {
      const places = await readPlaces(client);
      const applied = (await readHistory(client)).map((row) => row.version);
      const { rows } = await client.query<{ active: boolean }>(
        `SELECT EXISTS (SELECT FROM pg_locks
                         WHERE locktype = 'advisory' AND granted AND objsubid = 2 AND classid = $1 AND objid = $2
                           AND database = (SELECT oid FROM pg_database WHERE datname = current_database())) AS active`,
        [opsLockSpace, migrationLock],
      );
      const active = rows[0]?.active === true;
      // One that is done and not applied was taken back since.
      const shown = places.filter((each) => each.state !== "done" || includesVersion(applied, each.version));
      return { database: target.name, backfills: shown.map((each) => describe(each, active)) };
    });
  },
  render: ({ database, backfills }) => {
    if (backfills.length === 0) return `database ${database} has no backfills`;
    return backfills
      .map((each) => {
        const share = each.state === "done" ? 100 : shareOf(each);
        const left = each.state === "running" ? timeLeft(each) : "";
        const way = each.direction === "down" ? " (being taken back)" : "";
        return [
          `${title(each)}${way}  ${each.state}  ${formatPercent(share)}  ${each.rowsDone} of ${each.state === "done" ? each.rowsDone : `about ${each.rowsExpected}`} rows, ${each.rowsChanged} changed`,
          `  ${each.rowsPerSecond} rows/s in ${each.batches} batches, the next of ${each.batchSize} rows${left}`,
          `  last batch at ${each.updatedAt}`,
          ...nextStep(each),
        ].join("\n");
      })
      .join("\n");
  },
});

type Described = z.output<typeof backfillSchema>;

function describe(place: BackfillPlace, active: boolean): Described {
  const { checksum: _, size, workMs, state, ...rest } = place;
  return {
    ...rest,
    state: state === "running" && !active ? "stopped" : state,
    batchSize: size,
    rowsPerSecond: workMs === 0 ? 0 : Math.round((place.rowsDone / workMs) * 1000),
  };
}

function shareOf({ rowsDone, rowsExpected }: Described): number {
  return Math.min(99, Math.floor((100 * rowsDone) / Math.max(1, rowsExpected, rowsDone)));
}

function timeLeft({ rowsDone, rowsExpected, rowsPerSecond }: Described): string {
  if (rowsPerSecond === 0 || rowsDone >= rowsExpected) return "";
  return `, ${formatDuration(((rowsExpected - rowsDone) / rowsPerSecond) * 1000)} left`;
}

function nextStep({ state, direction, version, runId }: Described): string[] {
  const resume = runId === null ? `ops migrate ${direction}` : `ops runs resume ${runId}`;
  if (state === "paused") return [`  let it go on: ops migrate continue ${version}`];
  return state === "stopped" ? [`  go on: ${resume}`] : [];
}
