import { z } from "zod";
import { OpsError } from "../core/errors.ts";
import type { StanzaInfo } from "../pgbackrest/info.ts";
import type { PgBackRest } from "../pgbackrest/program.ts";
import type { OperationContext } from "../run/context.ts";
import type { Report } from "../run/operation.ts";
import type { RestorePoint } from "../wal-archive/restore-point.ts";

/**
 * What ops must know of a base backup and pgBackRest has no field for is an annotation of the backup (2.41 or later),
 * so that it lives and goes with it.
 */
export const nextTransactionKey = "ops-next-transaction";
/** Which attempt made it: a resumed run finds what a killed one has finished. */
export const attemptKey = "ops-attempt";
export const runKey = "ops-run";
const pointKey = "ops-point-";

/** Milliseconds between two tries. */
const pollInterval = 500;

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
export function annotatedPoints(
  database: string,
  { backups }: Pick<StanzaInfo, "backups">,
): Map<string, RestorePoint> {
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

/** Waits for another pgBackRest that works on the stanza, for so many milliseconds. Throws `E_LOCK_HELD` after them. */
export async function annotate(
  context: OperationContext,
  program: PgBackRest,
  label: string,
  annotations: readonly string[],
  patience: number,
  report: Report,
): Promise<void> {
  const { repository } = program.target;
  const deadline = context.clock.elapsed() + patience;
  for (;;) {
    try {
      const options = [`--repo=${repository}`, `--set=${label}`, ...annotations];
      await program.run("annotate", options, { signal: context.signal });
      return;
    } catch (error) {
      const waits = error instanceof OpsError && error.code === "E_LOCK_HELD";
      if (!waits || context.clock.elapsed() >= deadline) throw error;
    }
    report.progress({ message: "waiting for another pgBackRest that works on the stanza" });
    await context.clock.sleep(pollInterval, context.signal);
  }
}

/** Undefined for what somebody else has written there. */
function decode(text: string): z.output<typeof noted> | undefined {
  try {
    return noted.safeParse(JSON.parse(text)).data;
  } catch {
    return undefined;
  }
}
