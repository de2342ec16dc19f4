import { CountingWindow, difference, noCounts, settledRequests, sum } from "../request-source/counters.ts";
import type { Counters } from "../request-source/request-source.ts";
import { ResponseTimes } from "../request-source/response-times.ts";
import type { Look, Stretch } from "./judge.ts";
import { type Reading, readingOf } from "./reading.ts";

/** Milliseconds of a step that count as recent. */
export const recentLength = 30_000;

interface Slice {
  readonly at: number;
  readonly counts: Counters;
  readonly times: ResponseTimes | undefined;
}

/** Everything that happened to one version in one step of a canary, look by look. */
export class CanaryWindow {
  private readonly version: string;
  private readonly share: number;
  private readonly counting: CountingWindow;
  private readonly times: ResponseTimes | undefined;
  private readonly since: number;
  private slices: Slice[] = [];
  private newest: Reading;
  private at: number;
  /** When a request of the version was last among the figures. */
  private heard: number;
  /** Requests that were sent since one of the version last came to an end. */
  private unanswered = 0;
  /** Health checks that failed since one was last seen to be good. */
  private failedInRow = 0;
  /** Milliseconds between two counts of one version, as far as is known. */
  private grain = 0;

  /**
   * @param share percent that the weights give the version
   * @param at monotonic milliseconds
   */
  constructor(
    version: string,
    share: number,
    at: number,
    start: Reading,
    withTimes: "with-times" | "without-times",
  ) {
    this.since = at;
    this.at = at;
    this.heard = at;
    this.version = version;
    this.share = share;
    this.counting = new CountingWindow(start);
    this.times = withTimes === "with-times" ? new ResponseTimes() : undefined;
    this.newest = start;
  }

  /** @param at monotonic milliseconds */
  add(at: number, reading: Reading, times: ResponseTimes | undefined): void {
    const earlier = this.counting.counts(this.version);
    this.counting.add(reading);
    this.newest = reading;
    this.at = at;
    this.grain = Math.max(this.grain, ...reading.map(({ age = 0 }) => age));
    const grown = difference(this.counting.counts(this.version), earlier);
    if (grown.requests > 0) this.heard = at;
    this.unanswered = settledRequests(grown) > 0 ? 0 : this.unanswered + grown.requests;
    // A good check ends the row: only a version of which none has failed since is simply up.
    const isGood = readingOf(reading, this.version).health === "up";
    this.failedInRow = isGood ? 0 : this.failedInRow + grown.failedChecks;
    if (times !== undefined) this.times?.addAll(times);
    this.slices.push({ at, counts: grown, times });
    this.slices = this.slices.filter((slice) => slice.at > at - recentLength);
  }

  get restarts(): number {
    return this.counting.restarts;
  }

  look(): Look {
    const { health, status, meanResponse } = readingOf(this.newest, this.version);
    return {
      version: this.version,
      share: this.share,
      sinceStart: { counts: this.counting.counts(this.version), times: this.times },
      recent: this.recent(),
      routeRequests: this.counting.requests,
      health,
      status,
      meanResponse,
      unequal: this.at > this.since ? Math.min(1, this.grain / (this.at - this.since)) : 0,
      watched: this.at - this.since,
      silent: this.at - this.heard,
      unanswered: this.unanswered,
      failedInRow: this.failedInRow,
    };
  }

  private recent(): Stretch {
    const times = this.times === undefined ? undefined : new ResponseTimes();
    let counts = noCounts;
    for (const slice of this.slices) {
      counts = sum(counts, slice.counts);
      if (slice.times !== undefined) times?.addAll(slice.times);
    }
    return { counts, times };
  }
}
