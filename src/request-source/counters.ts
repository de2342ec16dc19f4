import type { Counters, VersionCounts } from "./request-source.ts";

type Counted = Pick<VersionCounts, "process" | "counters">;

/**
 * Whether the balancer was restarted or reloaded in between: another process answers, or (a restarted container has
 * the same process ids) a counter fell, which none does while it lives.
 */
export function wasReset(earlier: Counted, later: Counted): boolean {
  return earlier.process !== later.process || keys.some((key) => later.counters[key] < earlier.counters[key]);
}

const keys = [
  "requests",
  "answered",
  "serverErrors",
  "connectionErrors",
  "responseErrors",
  "retries",
  "redispatches",
  "failedChecks",
] as const satisfies readonly (keyof Counters)[];

export const noCounts: Counters = {
  requests: 0,
  answered: 0,
  serverErrors: 0,
  connectionErrors: 0,
  responseErrors: 0,
  retries: 0,
  redispatches: 0,
  failedChecks: 0,
};

export function difference(later: Counters, earlier: Counters): Counters {
  return combine(later, earlier, (a, b) => a - b);
}

export function sum(a: Counters, b: Counters): Counters {
  return combine(a, b, (x, y) => x + y);
}

function combine(a: Counters, b: Counters, each: (a: number, b: number) => number): Counters {
  return Object.fromEntries(keys.map((key) => [key, each(a[key], b[key])])) as Counters;
}

/**
 * Requests that went wrong at this version. Never the 5xx alone: a balancer that retries hides a dead server from
 * them. One request can leave several marks (each retry, then the redispatch), so there are never more than requests.
 */
export function badRequests(counts: Counters): number {
  return Math.min(counts.serverErrors + unanswered(counts), counts.requests);
}

/** Requests whose outcome is known. One that hangs is not among them: it must not pass for a good one. */
export function settledRequests(counts: Counters): number {
  return Math.min(counts.answered + unanswered(counts), counts.requests);
}

function unanswered({ connectionErrors, responseErrors, retries, redispatches }: Counters): number {
  return connectionErrors + responseErrors + retries + redispatches;
}

/**
 * Adds up what happens between looks, also across a restart of what counts, which sets its counters to zero: those of
 * all versions that the same process counts.
 */
export class CountingWindow {
  private readonly versions = new Map<string, { last: Counted; counted: Counters }>();
  /** How often the balancer was restarted or reloaded since the window began. */
  restarts = 0;

  constructor(start: readonly VersionCounts[]) {
    for (const each of start) this.versions.set(each.version, { last: each, counted: noCounts });
  }

  add(reading: readonly VersionCounts[]): void {
    const reset = new Set(
      reading.filter((each) => wasReset(this.entry(each.version).last, each)).map((each) => each.process),
    );
    if (reset.size > 0) this.restarts += 1;
    for (const each of reading) {
      const { last, counted } = this.entry(each.version);
      const grown = difference(each.counters, reset.has(each.process) ? noCounts : last.counters);
      this.versions.set(each.version, { last: each, counted: sum(counted, grown) });
    }
  }

  /** What happened at one version since the window began. */
  counts(version: string): Counters {
    return this.entry(version).counted;
  }

  /** Requests of all versions since the window began. */
  get requests(): number {
    return [...this.versions.values()].reduce((total, { counted }) => total + counted.requests, 0);
  }

  private entry(version: string): { last: Counted; counted: Counters } {
    const found = this.versions.get(version);
    if (found === undefined) throw new Error(`the window has no version ${version}`);
    return found;
  }
}
