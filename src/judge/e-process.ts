/** Requests of one version in one stretch of time, and how many of them were bad. */
export interface Outcomes {
  readonly requests: number;
  readonly bad: number;
}

/** How much more often than tolerated the new version may fail: each is one hypothesis, all equally likely. */
const ratios = [1.5, 2, 3, 5, 10, 20, 50] as const;

/** What an `EProcess` has seen so far; one log likelihood for each ratio. */
export type EProcessState = readonly number[];

/**
 * Evidence that a version fails more often than the version serving beside it, valid at every look.
 *
 * Given the bad requests of both versions in a stretch of time, how many of them fell to the new one depends on
 * its share of the requests and on the ratio of the two rates only. So an error wave that hits both cancels, the
 * split may change between two stretches, and looking often costs nothing: for a version that is no worse the
 * evidence ever reaches 1/α with a probability of at most α (Ville's inequality).
 *
 * Source: Lindon & Malek, "Anytime-valid inference for multinomial count data", NeurIPS 2022, arXiv 2011.03567.
 */
export class EProcess {
  private readonly logs: number[];
  private readonly dispersion: number;
  private readonly tolerated: number;

  /**
   * @param dispersion variance over mean of the bad requests of a stretch, from 1 (independent); counts are divided by it
   * @param tolerated how many times as often the new version may fail without being called worse, from 1
   */
  constructor(dispersion = 1, tolerated = 1, state?: EProcessState) {
    this.dispersion = Math.max(1, dispersion);
    this.tolerated = Math.max(1, tolerated);
    this.logs = state?.length === ratios.length ? [...state] : ratios.map(() => 0);
  }

  /** A stretch in which only one of the two served says nothing. */
  add(candidate: Outcomes, baseline: Outcomes): void {
    if (candidate.requests === 0 || baseline.requests === 0) return;
    const share = candidate.requests / (candidate.requests + baseline.requests);
    const [hits, misses] = [candidate.bad / this.dispersion, baseline.bad / this.dispersion];
    const allowed = shareOfBad(share, this.tolerated);
    for (const [index, ratio] of ratios.entries()) {
      const expected = shareOfBad(share, this.tolerated * ratio);
      this.logs[index] =
        (this.logs[index] ?? 0) +
        hits * Math.log(expected / allowed) +
        misses * Math.log((1 - expected) / (1 - allowed));
    }
  }

  /** 1: nothing is known. At or above 1/α the new version is worse, wrongly so with a probability of at most α. */
  get evidence(): number {
    return this.logs.reduce((total, log) => total + Math.exp(log), 0) / ratios.length;
  }

  /** To be kept and handed to a later one, which then goes on from here. */
  get state(): EProcessState {
    return [...this.logs];
  }
}

/** The part of all bad requests that falls to a version with this share of the requests which fails `ratio` times as often. */
function shareOfBad(share: number, ratio: number): number {
  return (share * ratio) / (share * ratio + 1 - share);
}
