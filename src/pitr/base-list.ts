import { z } from "zod";
import { formatDuration } from "../core/duration.ts";
import { name } from "../core/schema.ts";
import { formatBytes } from "../core/size.ts";
import { defineOperation } from "../run/operation.ts";
import { listedBaseSchema } from "./listed-base.ts";
import { openArchive } from "./open-archive.ts";

export const listBases = defineOperation({
  name: "pitr.base.list",
  summary: "List the base backups of a cluster, newest first",
  example: "pitr base list --database main",
  effect: "read",
  input: z.strictObject({
    database: name("A database of the cluster").optional(),
    store: name("The store; default: the first one of its pitr settings").optional(),
  }),
  output: z.object({ database: z.string(), store: z.string(), bases: z.array(listedBaseSchema) }),
  observe: async () => null,
  plan: () => [],

  async apply(context, input) {
    const database = context.environment.database(input.database);
    const archive = await openArchive(database, input.store, context.signal);
    return { database: database.name, store: archive.store, bases: await archive.list(context.clock.now()) };
  },

  render({ database, store, bases }) {
    if (bases.length === 0) return `The store ${store} has no base backups of ${database}`;
    return bases
      .map((each) => {
        const age = each.ageMs === null ? "?" : formatDuration(each.ageMs);
        const size = each.bytes === null ? "?" : formatBytes(each.bytes);
        const line = `${each.id}  ${age} old  ${size}  timeline ${each.timeline ?? "?"}  from ${each.restorableFrom ?? "?"}`;
        const chain =
          each.parent === null
            ? ""
            : `\n  incremental to ${each.parent}: ${each.chain.length} in the chain, ${formatBytes(each.chainBytes ?? 0)} in all`;
        return `${line}${chain}${each.reason === null ? "" : `\n  ! ${each.reason}`}`;
      })
      .join("\n");
  },
});
