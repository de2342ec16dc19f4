import { z } from "zod";
import { databaseOfId, timeOfId } from "../archive/backup-id.ts";
import { type CatalogEntry, readCatalog, storedBytes } from "../archive/catalog.ts";
import { type DrillVerdict, readDrillVerdicts } from "../archive/drill-verdicts.ts";
import { type HoldMark, readHolds } from "../archive/hold.ts";
import type { StoreTarget } from "../config/environment.ts";
import { trustedSignersOf } from "../crypto/trusted-signers.ts";
import { openStore } from "../storage/open-store.ts";

export const overviewSchema = z.object({
  id: z.string(),
  status: z.enum(["complete", "broken"]),
  reason: z.string().nullable().describe("Why it is broken"),
  environment: z
    .string()
    .nullable()
    .describe("Null, like all that follows, where the manifest cannot be read"),
  database: z.string().nullable(),
  startedAt: z.string().nullable().describe("The data is as of this moment"),
  ageMs: z.number().nullable(),
  durationMs: z.number().nullable(),
  bytes: z.number().nullable().describe("Stored"),
  part: z.boolean().nullable().describe("Whether it holds only a part of its database"),
  hold: z.string().nullable().describe("The legal hold: who, since when, why"),
  drill: z
    .object({ verdict: z.enum(["pass", "fail"]), at: z.string() })
    .nullable()
    .describe("How the newest restore drill of it ended"),
});

/** A backup with all that the store says about it. */
export type BackupOverview = z.output<typeof overviewSchema>;

/** Every backup of the store, newest first. */
export async function readOverview(target: StoreTarget, now: Date): Promise<BackupOverview[]> {
  const store = openStore(target);
  const catalog = await readCatalog(store, await trustedSignersOf(target));
  const marks = await readHolds(store);
  const drills = await readDrillVerdicts(store);
  return catalog.map((entry) => overview(entry, marks.get(entry.id), drills.get(entry.id), now));
}

function overview(
  entry: CatalogEntry,
  mark: HoldMark | undefined,
  drill: DrillVerdict | undefined,
  now: Date,
): BackupOverview {
  const whole = entry.status === "complete" ? entry.manifest : undefined;
  const startedAt = whole?.startedAt ?? timeOfId(entry.id)?.toISOString() ?? null;
  return {
    id: entry.id,
    status: entry.status,
    reason: entry.status === "broken" ? `${entry.object} ${entry.reason}` : null,
    environment: whole?.environment ?? null,
    database: whole?.database ?? databaseOfId(entry.id) ?? null,
    startedAt,
    ageMs: startedAt === null ? null : now.getTime() - Date.parse(startedAt),
    durationMs: whole === undefined ? null : Date.parse(whole.finishedAt) - Date.parse(whole.startedAt),
    bytes: whole === undefined ? null : storedBytes(whole),
    part: whole === undefined ? null : !whole.whole,
    hold: mark?.kind === "legal" ? mark.text : null,
    drill: drill ?? null,
  };
}
