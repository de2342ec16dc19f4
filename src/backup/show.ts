import { z } from "zod";
import { findEntry, withoutParts } from "../archive/catalog.ts";
import { columns } from "../core/columns.ts";
import { formatDuration } from "../core/duration.ts";
import type { Json } from "../core/errors.ts";
import { UsageError } from "../core/errors.ts";
import { name } from "../core/schema.ts";
import { formatBytes } from "../core/size.ts";
import { trustedSignersOf } from "../crypto/trusted-signers.ts";
import { defineOperation } from "../run/operation.ts";
import { plainScreen } from "../run/screen.ts";
import { openStore } from "../storage/open-store.ts";
import { formatAge } from "./age.ts";
import { overviewSchema, readOverview } from "./overview.ts";

const output = overviewSchema.extend({
  store: z.string(),
  objects: z.array(z.object({ name: z.string(), bytes: z.number() })),
  manifest: (z.unknown() as z.ZodType<Json>).describe("As it is in the store; null where it cannot be read"),
});

export const show = defineOperation({
  name: "backup.show",
  summary: "Show everything that a store says about one backup",
  example: "backup show 20261121T020000Z-main-x7k2",
  effect: "read",
  input: z.strictObject({
    backup: z.string().default("latest").describe("The backup's id, or latest: the newest of the database"),
    store: name("The store it is in").optional(),
    database: name("The database that latest is looked up for").optional(),
  }),
  positional: ["backup"],
  output,
  observe: async () => null,
  plan: () => [],

  async apply(context, input) {
    const target = context.environment.store(input.store);
    const store = openStore(target);
    const all = await readOverview(target, context.clock.now());
    const database = () => context.environment.database(input.database).name;
    const found =
      input.backup === "latest"
        ? withoutParts(
            all.filter((each) => isOf(each, context.environment.name, database())),
            (each) => each.part === true,
          )[0]
        : all.find((each) => each.id === input.backup);
    if (found === undefined) {
      throw new UsageError("E_BACKUP_MISSING", `${store.location} has no backup "${input.backup}"`, {
        hint: "see what there is with: ops backup list",
      });
    }
    const entry = await findEntry(store, await trustedSignersOf(target), found.id);
    const whole = entry.status === "complete" ? entry.manifest : undefined;
    return {
      store: target.name,
      ...found,
      objects: (whole?.objects ?? []).map((each) => ({ name: each.name, bytes: each.bytes })),
      manifest: (whole ?? null) as Json,
    };
  },

  render(backup, { color } = plainScreen) {
    const manifest = (backup.manifest ?? {}) as {
      source?: { database: string; serverVersion: string };
      dumpBytes?: number;
      run?: string | null;
      actor?: string;
      dumpProgram?: string;
    };
    const { source } = manifest;
    const rows: (readonly [string, string])[] = [
      ["store", backup.store],
      ["status", backup.status === "broken" ? color.red(`broken: ${backup.reason}`) : color.green("whole")],
      ["of", `${backup.database ?? "?"} (environment ${backup.environment ?? "unknown"})`],
    ];
    if (backup.part === true) rows.push(["holds", color.yellow("only a part of the database")]);
    if (source !== undefined)
      rows.push(["source", `database "${source.database}", PostgreSQL ${source.serverVersion}`]);
    if (backup.startedAt !== null)
      rows.push(["data as of", `${backup.startedAt}, ${formatAge(backup.ageMs ?? 0)} ago`]);
    if (backup.durationMs !== null) rows.push(["took", formatDuration(backup.durationMs)]);
    if (backup.bytes !== null)
      rows.push([
        "size",
        `${formatBytes(backup.bytes)} stored, ${formatBytes(manifest.dumpBytes ?? 0)} dumped`,
      ]);
    if (manifest.actor !== undefined)
      rows.push(["made by", `${manifest.actor}, run ${manifest.run ?? "unknown"}`]);
    if (manifest.dumpProgram !== undefined) rows.push(["pg_dump", manifest.dumpProgram]);
    rows.push(["hold", backup.hold === null ? "none" : color.cyan(backup.hold)]);
    rows.push(["drill", drillText(backup.drill)]);
    return [
      color.bold(`backup ${backup.id}`),
      ...columns(rows, new Set()).map((line) => `  ${line}`),
      ...(backup.objects.length === 0 ? [] : ["  objects"]),
      ...columns(
        backup.objects.map((each) => [formatBytes(each.bytes), each.name]),
        new Set([0]),
      ).map((line) => `    ${line}`),
    ].join("\n");
  },
});

function drillText(drill: z.output<typeof output>["drill"]): string {
  if (drill === null) return "never";
  return `${drill.verdict === "pass" ? "passed" : "FAILED"} ${drill.at}`;
}

function isOf(
  backup: { readonly environment: string | null; readonly database: string | null },
  environment: string,
  database: string,
): boolean {
  return backup.database === database && (backup.environment === environment || backup.environment === null);
}
