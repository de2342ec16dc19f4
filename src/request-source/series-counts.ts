import { type Clock, systemClock } from "../core/clock.ts";
import { noCounts } from "./counters.ts";
import type { VersionCounts } from "./request-source.ts";

/** The value of each counter, by what makes it one of several (its labels). */
export type Series = ReadonlyMap<string, number>;

/** What one look at a version found. */
export interface VersionSeries {
  readonly version: string;
  readonly requests: Series;
  readonly bad: Series;
  /** Milliseconds since they were counted. */
  readonly age: number;
}

/**
 * Adds the counters of many processes up to two for each version. A counter that falls was started anew: what it counted between the two looks
 * is left out, and all counts begin anew, which whoever compares two looks can see. One that appears counts from zero; one
 * that is away for a while goes on from what it had.
 */
export class SeriesCounts {
  private known = new Map<string, number>();
  private totals = new Map<string, { requests: number; bad: number }>();
  /** Version → monotonic milliseconds at which it last had a counter of requests. */
  private readonly had = new Map<string, number>();
  private generation = 0;
  private readonly started: string;
  private readonly clock: Pick<Clock, "elapsed">;

  /** @param started tells these counts from those of another one: they begin at what the first look finds */
  constructor(started: string, clock: Pick<Clock, "elapsed"> = systemClock) {
    this.started = started;
    this.clock = clock;
  }

  add(look: readonly VersionSeries[]): VersionCounts[] {
    const at = this.clock.elapsed();
    for (const { version, requests } of look) if (requests.size > 0) this.had.set(version, at);
    const grown = look.map((each) => ({
      version: each.version,
      age: each.age,
      requests: this.growth(`${each.version} requests`, each.requests),
      bad: this.growth(`${each.version} bad`, each.bad),
    }));
    if (grown.some(({ requests, bad }) => requests.fell || bad.fell)) {
      this.generation += 1;
      this.totals = new Map();
    }
    return grown.map(({ version, age, requests, bad }) => {
      const earlier = this.totals.get(version) ?? { requests: 0, bad: 0 };
      // What went wrong may not be among the answered ones that are counted as requests.
      const now = {
        requests: earlier.requests + Math.max(requests.by, bad.by),
        bad: earlier.bad + bad.by,
      };
      this.totals.set(version, now);
      const gone = at - (this.had.get(version) ?? at);
      return {
        version,
        process: `${this.started} ${this.generation}`,
        counters: { ...noCounts, requests: now.requests, answered: now.requests, serverErrors: now.bad },
        age,
        ...(gone > 0 && { gone }),
      };
    });
  }

  private growth(owner: string, series: Series): { readonly by: number; readonly fell: boolean } {
    let [by, fell] = [0, false];
    for (const [key, value] of series) {
      const place = `${owner} ${key}`;
      const earlier = this.known.get(place) ?? 0;
      if (value < earlier) fell = true;
      else by += value - earlier;
      this.known.set(place, value);
    }
    return { by, fell };
  }
}
