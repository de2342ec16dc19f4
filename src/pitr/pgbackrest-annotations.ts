import { z } from "zod";
import type { StanzaInfo } from "../pgbackrest/info.ts";
import type { RestorePoint } from "../wal-archive/restore-point.ts";

/**
 * What ops must know of a base backup and pgBackRest has no field for is an annotation of the backup (2.41 or later),
 * so that it lives and goes with it.
 */
export const nextTransactionKey = "ops-next-transaction";
/** Which attempt made it: a resumed run finds what a killed one has finished. */
export const attemptKey = "ops-attempt";
const pointKey = "ops-point-";

const noted = z.object({
  lsn: z.string(),
  timeline: z.int().positive(),
  madeAt: z.iso.datetime(),
  run: z.string().nullable(),
  actor: z.string(),
});

/**
 * Restore points, by name. Each is an annotation of the newest base backup before it, which is the one that a restore
 * to it begins with: when that expires, nothing leads to the point any more.
 */
export function annotatedPoints(database: string, { backups }: StanzaInfo): Map<string, RestorePoint> {
  const points = new Map<string, RestorePoint>();
  for (const { annotations } of backups) {
    for (const [key, text] of Object.entries(annotations)) {
      const point = key.startsWith(pointKey) ? decode(text) : undefined;
      if (point === undefined) continue;
      const name = key.slice(pointKey.length);
      points.set(name, { format: "ops-restore-point", version: 1, name, database, ...point });
    }
  }
  return points;
}

/** As an option of `pgbackrest annotate`. */
export function pointAnnotation({ name, lsn, timeline, madeAt, run, actor }: RestorePoint): string {
  return annotation(`${pointKey}${name}`, JSON.stringify({ lsn, timeline, madeAt, run, actor }));
}

/** pgBackRest removes an annotation that is set to nothing. */
export function noPointAnnotation(name: string): string {
  return annotation(`${pointKey}${name}`, "");
}

export function annotation(key: string, value: string): string {
  return `--annotation=${key}=${value}`;
}

/** Undefined for what somebody else has written there. */
function decode(text: string): z.output<typeof noted> | undefined {
  try {
    return noted.safeParse(JSON.parse(text)).data;
  } catch {
    return undefined;
  }
}
