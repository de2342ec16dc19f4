import { createHistogram, type RecordableHistogram } from "node:perf_hooks";
import { type LoadFigures, type LoadInterval, type LoadPlan, usersAt } from "./plan.ts";

/** How one request ended. */
export type Outcome =
  | { readonly kind: "good" | "status"; readonly status: number; readonly ms: number; readonly bytes: number }
  | { readonly kind: "timeout" | "connection" };

/** The longest time that is told apart from longer ones: an hour, in microseconds. */
const longest = 3_600_000_000;

const histogram = () => createHistogram({ lowest: 1, highest: longest, figures: 3 });

class Tally {
  requests = 0;
  bad = 0;
  readonly times: RecordableHistogram = histogram();

  /** @param timeoutMs a request that was given up took at least that long; to leave it out would flatter the server */
  add(outcome: Outcome, timeoutMs: number): void {
    this.requests += 1;
    if (outcome.kind !== "good") this.bad += 1;
    if (outcome.kind === "good") this.record(outcome.ms);
    if (outcome.kind === "timeout") this.record(timeoutMs);
  }

  /** Milliseconds, to a microsecond; null where there is none. */
  percentile(share: number): number | null {
    return this.times.count === 0 ? null : this.times.percentile(share) / 1000;
  }

  get mean(): number | null {
    return this.times.count === 0 ? null : Math.round(this.times.mean) / 1000;
  }

  private record(ms: number): void {
    this.times.record(Math.min(longest, Math.max(1, Math.round(ms * 1000))));
  }
}

/**
 * Counts what a load meets: by interval, by step, and in all after the ramp-up. Times are those of good answers and of
 * requests that were given up: a server that fails fast is not a fast one.
 */
export class Figures {
  private readonly plan: LoadPlan;
  private readonly open = new Map<number, Tally>();
  private readonly closed: LoadInterval[] = [];
  private readonly all = new Tally();
  private readonly steps: Tally[];
  private readonly failures = { status: 0, timeout: 0, connection: 0 };
  private readonly statuses: Record<string, number> = {};
  private bytes = 0;

  constructor(plan: LoadPlan) {
    this.plan = plan;
    this.steps = plan.steps.map(() => new Tally());
  }

  /** @param at milliseconds after the beginning of the load at which the request ended */
  record(at: number, step: number, outcome: Outcome): void {
    const { intervalMs, timeoutMs, rampUpMs } = this.plan;
    const index = Math.floor(at / intervalMs);
    if (index >= this.closed.length) {
      const tally = this.open.get(index) ?? new Tally();
      this.open.set(index, tally);
      tally.add(outcome, timeoutMs);
    }
    if (at < rampUpMs) return;
    this.all.add(outcome, timeoutMs);
    this.steps[step]?.add(outcome, timeoutMs);
    if (outcome.kind !== "good") this.failures[outcome.kind] += 1;
    if (outcome.kind === "good" || outcome.kind === "status") {
      this.statuses[outcome.status] = (this.statuses[outcome.status] ?? 0) + 1;
      this.bytes += outcome.bytes;
    }
  }

  /** The intervals that have ended by then and were not told yet. */
  closeUntil(at: number): LoadInterval[] {
    const fresh: LoadInterval[] = [];
    while ((this.closed.length + 1) * this.plan.intervalMs <= at) {
      const interval = this.interval(this.closed.length);
      this.closed.push(interval);
      fresh.push(interval);
    }
    return fresh;
  }

  /** @param elapsedMs when the load ended */
  finish(elapsedMs: number): LoadFigures {
    this.closeUntil(elapsedMs);
    const measuredMs = Math.max(0, elapsedMs - this.plan.rampUpMs);
    const { requests, bad, times } = this.all;
    const good = requests - bad;
    return {
      elapsedMs: Math.round(elapsedMs),
      measuredMs: Math.round(measuredMs),
      requests,
      bad,
      failures: this.failures,
      statuses: this.statuses,
      bytes: this.bytes,
      throughput: measuredMs === 0 ? 0 : Number(((1000 * good) / measuredMs).toPrecision(4)),
      latency: {
        p50: this.all.percentile(50),
        p75: this.all.percentile(75),
        p90: this.all.percentile(90),
        p95: this.all.percentile(95),
        p99: this.all.percentile(99),
        p999: this.all.percentile(99.9),
        mean: this.all.mean,
        max: times.count === 0 ? null : times.max / 1000,
      },
      steps: this.plan.steps.map(({ name }, index) => {
        const tally = this.steps[index];
        return {
          name,
          requests: tally?.requests ?? 0,
          bad: tally?.bad ?? 0,
          p50: tally?.percentile(50) ?? null,
          p95: tally?.percentile(95) ?? null,
        };
      }),
      intervals: this.closed,
    };
  }

  private interval(index: number): LoadInterval {
    const tally = this.open.get(index);
    this.open.delete(index);
    const at = index * this.plan.intervalMs;
    return {
      at,
      users: usersAt(this.plan, at),
      requests: tally?.requests ?? 0,
      bad: tally?.bad ?? 0,
      p50: tally?.percentile(50) ?? null,
      p95: tally?.percentile(95) ?? null,
      p99: tally?.percentile(99) ?? null,
      mean: tally?.mean ?? null,
    };
  }
}
