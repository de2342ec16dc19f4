import { z } from "zod";
import { withConnection } from "../postgres/connection.ts";
import { interruptible } from "../run/interruptible.ts";
import { defineOperation } from "../run/operation.ts";
import { Comparing, diffOutput, renderDiff } from "./diff-output.ts";
import { planTable, tableFields, withMomentTable } from "./moment-table.ts";
import { differences } from "./row-merge.ts";
import { shownName } from "./table-name.ts";
import { tableGone } from "./table-refusals.ts";
import { keyColumns, keyOrders, rowsByKey } from "./table-rows.ts";
import { prepareRowSession, readShape } from "./table-shape.ts";

const input = z.strictObject({
  ...tableFields,
  limit: z
    .int()
    .min(0)
    .max(10_000)
    .default(20)
    .describe("How many rows are shown of the removed, of the added and of the changed ones"),
});

/**
 * Counts every difference and shows some. Both sides are read in the order of the key at the same time, so memory
 * stays the same however many rows there are. In a run only the counts are told: its journal must hold no rows.
 */
export const diff = defineOperation({
  name: "pitr.diff",
  summary: "Show which rows of a table differ between a moment and now",
  example: "pitr diff --table orders --to-time 2026-11-21T14:31:59Z",
  effect: "read",
  input,
  output: diffOutput,

  async observe(context, input) {
    const planned = await planTable(context, input, "both");
    if (!planned.isThere) throw tableGone(planned, planned.moment);
    return { ...planned };
  },

  plan: () => [],

  async apply(context, input, table, report) {
    const begin = context.clock.elapsed();
    const live = context.environment.database(input.database);
    return interruptible(context, (signal) =>
      withMomentTable(context, input, table, report, signal, (then) =>
        withConnection(live, { signal }, async (client) => {
          await client.query("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY");
          const now = await readShape(client, table);
          if (now === undefined) throw tableGone(table, table.moment);
          await prepareRowSession(client, table.schema);
          const key = keyColumns(input.key, then.shape, now);
          const names = key.map((each) => each.name);
          const limit = context.runId === undefined ? input.limit : 0;
          const found = new Comparing(then.shape, now, names, limit);
          const both = { table, where: input.where, encoding: then.shape.encoding };
          const rowsThen = rowsByKey(
            { ...both, client: then.client, target: then.target },
            key,
            found.columns,
          );
          const rowsNow = rowsByKey({ ...both, client, target: live }, key, found.columns);
          report.progress({ message: `comparing the rows of ${shownName(table)}` });
          for await (const each of differences(rowsThen, rowsNow, keyOrders(key), found.counts))
            found.add(each);
          return {
            database: table.database,
            table: shownName(table),
            moment: table.moment,
            base: table.base,
            lastTransaction: then.scratch.lastTransaction,
            key: names,
            ...found.result(),
            durationMs: Math.round(context.clock.elapsed() - begin),
          };
        }),
      ),
    );
  },

  render: renderDiff,
});
