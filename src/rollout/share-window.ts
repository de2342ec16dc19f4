import { CountingWindow } from "../request-source/counters.ts";
import { observeShare, type ShareObservation } from "./confidence.ts";
import type { Reading } from "./reading.ts";

/** Milliseconds of the newest requests that count while a share is waited for, at least, and in times that figures are apart. */
const [slidingLength, slidingGrains] = [30_000, 10];

interface Slice {
  readonly at: number;
  /** Requests of the version, and of all. */
  readonly own: number;
  readonly all: number;
}

/**
 * Which share of the requests a version gets. While that is waited for, only the newest requests count, so that a balancer which gives
 * it slowly (HAProxy's slowstart) is only waited for; where they are too few to tell, all of them do.
 */
export class ShareWindow {
  private readonly version: string;
  private readonly intended: number;
  private readonly counts: "newest" | "all";
  private readonly counting: CountingWindow;
  private readonly since: number;
  private at: number;
  private slices: Slice[] = [];
  private grain = 0;

  /**
   * @param intended 0–1
   * @param at monotonic milliseconds
   */
  constructor(version: string, intended: number, at: number, start: Reading, counts: "newest" | "all") {
    this.version = version;
    this.intended = intended;
    this.counts = counts;
    this.counting = new CountingWindow(start);
    this.since = at;
    this.at = at;
  }

  /** @param at monotonic milliseconds */
  add(at: number, reading: Reading): void {
    const [own, all] = [this.own, this.counting.requests];
    this.counting.add(reading);
    this.at = at;
    this.grain = Math.max(this.grain, ...reading.map(({ age = 0 }) => age));
    this.slices.push({ at, own: this.own - own, all: this.counting.requests - all });
    const length = Math.max(slidingLength, slidingGrains * this.grain);
    this.slices = this.slices.filter((slice) => slice.at > at - length);
  }

  observe(splits: "requests" | "users" | undefined): ShareObservation {
    const oldest = this.slices[0];
    if (this.counts === "newest" && oldest !== undefined) {
      const sum = (of: "own" | "all") => this.slices.reduce((total, each) => total + each[of], 0);
      const seen = this.judged(sum("own"), sum("all"), this.at - oldest.at, splits);
      if (seen.verdict !== "unknown") return seen;
    }
    return this.judged(this.own, this.counting.requests, this.at - this.since, splits);
  }

  private get own(): number {
    return this.counting.counts(this.version).requests;
  }

  /** @param length milliseconds that the requests were counted in */
  private judged(
    own: number,
    all: number,
    length: number,
    splits: "requests" | "users" | undefined,
  ): ShareObservation {
    const unequal = this.grain === 0 ? 0 : Math.min(1, this.grain / Math.max(1, length));
    return observeShare(own, all, this.intended, unequal, splits);
  }
}
