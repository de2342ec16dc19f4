import { z } from "zod";
import { inParallel } from "../core/parallel.ts";
import { type ObjectStore, readObject } from "../storage/object-store.ts";
import { listDrillObjects, parseDrillObject } from "./drill-objects.ts";
import { drillPrefix } from "./drill-record.ts";

/** Records that are asked for at the same time. */
const atOnce = 16;

/** How the newest drill of a backup ended. */
export interface DrillVerdict {
  readonly verdict: "pass" | "fail";
  /** When it began, ISO 8601. */
  readonly at: string;
}

/** What of a drill's record matters here; others write it. */
const recordSchema = z.looseObject({
  backup: z.string(),
  verdict: z.enum(["pass", "fail"]),
  startedAt: z.iso.datetime(),
});

/**
 * The newest verdict for each backup that was drilled, by id. Only the newest record of each is read; one that is no
 * record is passed over.
 */
export async function readDrillVerdicts(store: ObjectStore): Promise<Map<string, DrillVerdict>> {
  const newest = new Map<string, string>();
  for (const { subject, name } of await listDrillObjects(store, drillPrefix)) {
    if (!newest.has(subject)) newest.set(subject, name);
  }
  const verdicts = new Map<string, DrillVerdict>();
  await inParallel([...newest], atOnce, new AbortController().signal, async ([id, name]) => {
    const record = parseDrillObject(recordSchema, await readObject(store, name));
    if (record?.backup === id) verdicts.set(id, { verdict: record.verdict, at: record.startedAt });
  });
  return verdicts;
}
