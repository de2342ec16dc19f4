import { z } from "zod";
import { databaseOfId } from "../archive/backup-id.ts";
import { type CatalogEntry, readCatalog, storedBytes } from "../archive/catalog.ts";
import { name } from "../core/schema.ts";
import { formatBytes } from "../core/size.ts";
import { defineOperation } from "../run/operation.ts";
import { openStore } from "../storage/open-store.ts";

const line = z.object({
  id: z.string(),
  status: z.enum(["complete", "broken"]),
  environment: z.string().nullable(),
  database: z.string().nullable(),
  startedAt: z.string().nullable().describe("The data is as of this moment"),
  bytes: z.number().nullable(),
  reason: z.string().nullable().describe("Why it is broken"),
});

export const list = defineOperation({
  name: "backup.list",
  summary: "List the backups of a store, newest first",
  example: "backup list --store local",
  effect: "read",
  input: z.strictObject({
    store: name("The store").optional(),
    database: name("Only the backups of this database").optional(),
  }),
  output: z.object({ store: z.string(), backups: z.array(line) }),
  observe: async () => null,
  plan: () => [],

  async apply(context, input) {
    const target = context.environment.store(input.store);
    const all = (await readCatalog(openStore(target))).map(asLine);
    return {
      store: target.name,
      backups: all.filter((each) => input.database === undefined || each.database === input.database),
    };
  },

  render({ store, backups }) {
    if (backups.length === 0) return `The store ${store} has no backups`;
    const rows = [
      ["ID", "ENVIRONMENT", "DATABASE", "STARTED", "SIZE", ""],
      ...backups.map((each) => [
        each.id,
        each.environment ?? "?",
        each.database ?? "?",
        each.startedAt?.replace("T", " ").replace(/\.\d+Z$/, "Z") ?? "?",
        each.bytes === null ? "?" : formatBytes(each.bytes),
        each.reason === null ? "" : `BROKEN: ${each.reason}`,
      ]),
    ];
    const widths =
      rows[0]?.map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0))) ?? [];
    return rows
      .map((row) =>
        row
          .map((cell, column) => cell.padEnd(widths[column] ?? 0))
          .join("  ")
          .trimEnd(),
      )
      .join("\n");
  },
});

function asLine(entry: CatalogEntry): z.output<typeof line> {
  if (entry.status === "broken") {
    return {
      id: entry.id,
      status: "broken",
      environment: null,
      database: databaseOfId(entry.id) ?? null,
      startedAt: null,
      bytes: null,
      reason: `${entry.object} ${entry.reason}`,
    };
  }
  const { id, environment, database, startedAt } = entry.manifest;
  return {
    id,
    status: "complete",
    environment,
    database,
    startedAt,
    bytes: storedBytes(entry.manifest),
    reason: null,
  };
}
