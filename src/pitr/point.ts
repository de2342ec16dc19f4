import { z } from "zod";
import { name } from "../core/schema.ts";
import { defineOperation } from "../run/operation.ts";
import { observeCluster } from "./base-source.ts";
import { makePoint, pointExists } from "./make-point.ts";
import { pointRecords } from "./point-records.ts";

export const point = defineOperation({
  name: "pitr.point",
  summary: "Name this moment of a cluster, to restore to it later",
  example: "pitr point before-deploy-42 --database main",
  effect: "change",
  input: z.strictObject({
    name: name("The restore point's name; at most 63 letters").refine(
      (text) => text.length <= 63,
      "must be at most 63 letters",
    ),
    database: name("A database of the cluster").optional(),
  }),
  positional: ["name"],
  output: z.object({
    name: z.string(),
    database: z.string(),
    lsn: z.string(),
    timeline: z.number(),
    madeAt: z.string().describe("By the server's clock"),
  }),
  targets: (input, environment) => [`pitr:${environment.database(input.database).name}/${input.name}`],

  async observe(context, input) {
    const database = context.environment.database(input.database);
    const records = await pointRecords(context, database);
    const found = await records.find(input.name);
    if (found !== undefined) throw pointExists(input.name, found);
    await records.requireRoom();
    await observeCluster(database, context.signal);
    return { database: database.name };
  },

  plan: ({ database }, input) => [
    {
      target: `database:${database}`,
      action: "create",
      summary: `name this moment of the cluster of ${database} "${input.name}" and begin a new WAL segment`,
    },
  ],

  async apply(context, input, _before, report) {
    const made = await makePoint(context, input.database, input.name, report);
    const { name, database, lsn, timeline, madeAt } = made;
    return { name, database, lsn, timeline, madeAt };
  },

  async undo(context, input, _before, report) {
    const records = await pointRecords(context, context.environment.database(input.database));
    const found = await records.find(input.name);
    if (found !== undefined && found.run === (context.runId ?? null))
      await records.remove(input.name, report);
    return { undone: true, note: `the name "${input.name}" stays in the WAL, where it harms nothing` };
  },

  render: (made) =>
    `Restore point "${made.name}" of ${made.database} at ${made.lsn} (${made.madeAt}); ` +
    `restore to it with: ops pitr restore --to-name ${made.name}`,
});
