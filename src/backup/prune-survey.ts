import { databaseOfId, timeOfId } from "../archive/backup-id.ts";
import { type CatalogEntry, isPart, readCatalog, storedBytes } from "../archive/catalog.ts";
import { readDrillVerdicts } from "../archive/drill-verdicts.ts";
import { type HoldMark, readHolds } from "../archive/hold.ts";
import { findLeftovers, type Leftover } from "../archive/leftovers.ts";
import { type Decision, decideRetention, type RetainableBackup } from "../archive/retention.ts";
import type { StoreTarget } from "../config/environment.ts";
import { trustedSignersOf } from "../crypto/trusted-signers.ts";
import { backupsAtWork } from "../run/backups-at-work.ts";
import type { OperationContext } from "../run/context.ts";
import { openStore } from "../storage/open-store.ts";

export interface PruneChoices {
  readonly database?: string | undefined;
  readonly broken: boolean;
  readonly "ignore-future": boolean;
  /** Milliseconds. */
  readonly "leftovers-after": number;
}

/** What is in a store, and what its retention says about it now. */
export interface PruneSurvey {
  /** Of the backups that were asked for, newest first. */
  readonly decisions: readonly Decision[];
  /** How many backups belong to other environments and databases. */
  readonly others: number;
  /** Stored bytes by id, where the manifest says so. */
  readonly sizes: ReadonlyMap<string, number>;
  readonly leftovers: readonly Leftover[];
  /** Ids that a prune has begun to remove, and not come to their manifest. */
  readonly begun: ReadonlySet<string>;
}

/** Throws `E_CLOCK` where a backup is from the future and that is not to be ignored. */
export async function survey(
  context: OperationContext,
  target: StoreTarget,
  choices: PruneChoices,
): Promise<PruneSurvey> {
  const store = openStore(target);
  const now = context.clock.now();
  const atWork = await backupsAtWork(context);
  const catalog = await readCatalog(store, await trustedSignersOf(target));
  const marks = await readHolds(store);
  const drills = await readDrillVerdicts(store);
  const backups = catalog.map((entry) =>
    retainable(entry, drills.get(entry.id)?.verdict === "fail", [
      ...legalHold(marks.get(entry.id)),
      ...(atWork.has(entry.id) ? [`run ${atWork.get(entry.id)} works with it`] : []),
      ...objectLock(entry, target, now),
    ]),
  );
  const environment = context.environment.name;
  const asked = backups.filter(
    (each) =>
      (each.environment === environment || each.environment === null) &&
      (choices.database === undefined || each.database === choices.database),
  );
  const leftovers = await findLeftovers(store, { now, quietFor: choices["leftovers-after"], atWork });
  return {
    decisions: decideRetention(asked, target.retention, {
      environment,
      database: choices.database,
      now,
      broken: choices.broken ? "remove" : "keep",
      future: choices["ignore-future"] ? "keep" : "refuse",
    }),
    others: backups.length - asked.length,
    sizes: new Map(
      catalog.flatMap((each) => (each.status === "complete" ? [[each.id, storedBytes(each.manifest)]] : [])),
    ),
    begun: new Set([...marks].filter(([, mark]) => mark.kind === "removal").map(([id]) => id)),
    leftovers: leftovers.filter(
      (each) => choices.database === undefined || each.database === choices.database,
    ),
  };
}

function retainable(
  entry: CatalogEntry,
  drillFailed: boolean,
  neededBy: readonly string[],
): RetainableBackup {
  const whole = entry.status === "complete" ? entry.manifest : undefined;
  return {
    id: entry.id,
    environment: whole?.environment ?? null,
    database: whole?.database ?? databaseOfId(entry.id) ?? null,
    startedAt: whole === undefined ? (timeOfId(entry.id) ?? new Date(0)) : new Date(whole.startedAt),
    status: entry.status,
    isPart: isPart(entry),
    drillFailed,
    neededBy,
  };
}

function legalHold(mark: HoldMark | undefined): string[] {
  return mark?.kind === "legal" ? [mark.text] : [];
}

/** What the store will refuse to delete is not tried. */
function objectLock(entry: CatalogEntry, target: StoreTarget, now: Date): string[] {
  if (target.kind !== "s3" || target.objectLock === undefined || entry.status !== "complete") return [];
  const until = new Date(Date.parse(entry.manifest.finishedAt) + target.objectLock.for);
  return until > now ? [`Object Lock until ${until.toISOString().slice(0, 16)}Z`] : [];
}
