import { OpsError } from "../core/errors.ts";
import { type Calendar, calendarIn, type Period, periods } from "./retention-calendar.ts";

/** What a store keeps. Each rule keeps some backups; what no rule keeps may go. Counts are of whole backups. */
export interface RetentionPolicy {
  /** The newest so many. */
  readonly last?: number | undefined;
  /** Everything at most so much older (milliseconds) than the newest whole one. */
  readonly within?: number | undefined;
  /** The newest of each of the newest so many periods that have a backup at all. */
  readonly hourly?: number | undefined;
  readonly daily?: number | undefined;
  readonly weekly?: number | undefined;
  readonly monthly?: number | undefined;
  readonly yearly?: number | undefined;
  /** Where a day begins: an IANA name, `Europe/Berlin`. */
  readonly "time-zone": string;
}

/** A backup as the policy sees it. */
export interface RetainableBackup {
  readonly id: string;
  /** Null where the manifest does not say so any more. */
  readonly environment: string | null;
  readonly database: string | null;
  readonly startedAt: Date;
  readonly status: "complete" | "broken";
  /** Holds only a part of its database. */
  readonly isPart: boolean;
  /** Whether its newest restore drill failed: it is whole, and not known to restore to what was dumped. */
  readonly drillFailed: boolean;
  /** Why nothing may remove it, whatever the policy says: a legal hold, a running restore, a point-in-time window. */
  readonly neededBy: readonly string[];
}

export interface RetentionScope {
  readonly environment: string;
  /** Undefined: every database of the environment. */
  readonly database: string | undefined;
  readonly now: Date;
  /** `remove`: a broken backup goes where a newer whole one of its database exists. */
  readonly broken: "keep" | "remove";
  /** `refuse`: throws where a backup is from the future; `keep`: it is kept, and counts for no rule. */
  readonly future: "refuse" | "keep";
}

export interface Decision {
  readonly id: string;
  readonly action: "keep" | "remove";
  /** At least one. */
  readonly reasons: readonly string[];
}

/** Clocks of two machines may differ a little. */
const clockTolerance = 5 * 60_000;

/**
 * What stays and what goes, for each database of the scope by itself, and there for the backups of a part by themselves:
 * they push out none of the whole database. Pure. Guarantees: nothing outside of the scope is removed, nothing that
 * something needs, and never the newest whole backup of a database, nor the newest of those whose drill did not fail,
 * whatever the policy says; without a policy everything is kept. Throws `E_CLOCK` where a backup's time is ahead of `now`: its age, and which one
 * is the newest, cannot be told.
 */
export function decideRetention(
  backups: readonly RetainableBackup[],
  policy: RetentionPolicy | undefined,
  scope: RetentionScope,
): Decision[] {
  const groups = new Map<string, RetainableBackup[]>();
  for (const each of backups.filter((each) => isInScope(each, scope))) {
    const series = JSON.stringify([each.database, each.isPart]);
    groups.set(series, [...(groups.get(series) ?? []), each]);
  }
  const calendar = calendarIn(policy?.["time-zone"] ?? "UTC");
  const decided = new Map<string, Decision>();
  for (const group of groups.values()) {
    for (const each of decideGroup(group, policy, scope, calendar)) decided.set(each.id, each);
  }
  return backups.map((each) => decided.get(each.id) ?? keep(each, [`of ${otherOwner(each, scope)}`]));
}

/** A broken backup whose manifest cannot be read may be anybody's of that database name. */
function isInScope(backup: RetainableBackup, scope: RetentionScope): boolean {
  if (scope.database !== undefined && backup.database !== scope.database) return false;
  return backup.environment === scope.environment || backup.environment === null;
}

function otherOwner(backup: RetainableBackup, scope: RetentionScope): string {
  return backup.environment === scope.environment || backup.environment === null
    ? `database ${backup.database ?? "unknown"}`
    : `environment ${backup.environment}`;
}

function decideGroup(
  group: readonly RetainableBackup[],
  policy: RetentionPolicy | undefined,
  scope: RetentionScope,
  calendar: Calendar,
): Decision[] {
  const isFuture = (each: RetainableBackup) =>
    each.startedAt.getTime() > scope.now.getTime() + clockTolerance;
  const whole = group.filter((each) => each.status === "complete").sort(newestFirst);
  const [ahead] = whole.filter(isFuture);
  if (ahead !== undefined && scope.future === "refuse") throw fromTheFuture(ahead, scope.now);
  const counting = whole.filter((each) => !isFuture(each));
  const kept = policy === undefined ? undefined : keptByRules(counting, policy, calendar);
  const newest = counting[0];
  const good = counting.find((each) => !each.drillFailed);
  return group.map((each) => {
    const reasons = [...each.neededBy];
    if (each === newest) reasons.push(each.isPart ? "newest one of a part" : "newest whole one");
    else if (each === good) reasons.push("newest one whose drill did not fail");
    if (isFuture(each)) reasons.push("from the future");
    if (each.status === "broken") {
      const older = good !== undefined && good.startedAt > each.startedAt;
      if (scope.broken === "keep") reasons.push("broken: look at it, or remove it with --broken");
      else if (!older) reasons.push("broken, but no newer one is whole");
      return reasons.length > 0 ? keep(each, reasons) : remove(each, "broken, and a newer one is whole");
    }
    if (kept === undefined) reasons.push("the store has no retention");
    reasons.push(...(kept?.get(each.id) ?? []));
    return reasons.length > 0 ? keep(each, reasons) : remove(each, "no rule keeps it");
  });
}

/** The rules that keep each backup, by its id. */
function keptByRules(
  newestFirst: readonly RetainableBackup[],
  policy: RetentionPolicy,
  calendar: Calendar,
): Map<string, string[]> {
  const kept = new Map<string, string[]>();
  const add = (each: RetainableBackup, rule: string) =>
    kept.set(each.id, [...(kept.get(each.id) ?? []), rule]);
  for (const each of newestFirst.slice(0, policy.last ?? 0)) add(each, "last");
  const newest = newestFirst[0];
  if (policy.within !== undefined && newest !== undefined) {
    const limit = newest.startedAt.getTime() - policy.within;
    for (const each of newestFirst) if (each.startedAt.getTime() >= limit) add(each, "within");
  }
  for (const period of periods) {
    for (const each of newestOfEach(period, newestFirst, policy[period] ?? 0, calendar)) add(each, period);
  }
  return kept;
}

function newestOfEach(
  period: Period,
  newestFirst: readonly RetainableBackup[],
  count: number,
  calendar: Calendar,
): RetainableBackup[] {
  const found = new Map<string, RetainableBackup>();
  for (const each of newestFirst) {
    if (found.size >= count) break;
    const key = calendar[period](each.startedAt);
    if (!found.has(key)) found.set(key, each);
  }
  return [...found.values()];
}

/** By its time, then by its id, so that the order is total. */
function newestFirst(one: RetainableBackup, other: RetainableBackup): number {
  return other.startedAt.getTime() - one.startedAt.getTime() || (other.id < one.id ? -1 : 1);
}

function keep({ id }: RetainableBackup, reasons: readonly string[]): Decision {
  return { id, action: "keep", reasons };
}

function remove({ id }: RetainableBackup, reason: string): Decision {
  return { id, action: "remove", reasons: [reason] };
}

function fromTheFuture(backup: RetainableBackup, now: Date): OpsError {
  return new OpsError(
    "E_CLOCK",
    `Backup ${backup.id} began at ${backup.startedAt.toISOString()}, and here it is ${now.toISOString()}`,
    {
      hint: "mend the clock that is wrong; if that backup's was, keep it and prune the others: --ignore-future",
      details: { id: backup.id },
      retryable: false,
    },
  );
}
