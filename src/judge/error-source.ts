import type { Outcomes } from "./e-process.ts";
import { type Random, triesUntil } from "./random.ts";

/** The simulated requests of one version, of which a known share is bad, alone or in bursts. */
export class ErrorSource {
  private readonly random: Random;
  private readonly rate: number;
  private readonly burst: number;
  /** Good requests until the next burst begins. */
  private good: number;
  /** Bad requests of the present burst still to come. */
  private bad = 0;

  /**
   * @param rate share of bad requests, 0–1
   * @param burst mean number of bad requests in a row; 1: independent
   */
  constructor(random: Random, rate: number, burst: number) {
    this.random = random;
    this.rate = rate;
    this.burst = burst;
    this.good = this.untilBurst();
  }

  take(requests: number): Outcomes {
    let [left, bad] = [requests, 0];
    while (left > 0) {
      if (this.bad === 0 && this.good < left) {
        left -= this.good;
        this.good = this.untilBurst();
        this.bad = this.burst === 1 ? 1 : triesUntil(this.random, 1 / this.burst);
      }
      if (this.bad === 0) {
        this.good -= left;
        break;
      }
      const taken = Math.min(this.bad, left);
      this.bad -= taken;
      bad += taken;
      left -= taken;
    }
    return { requests, bad };
  }

  /** Such that the long-run share of bad requests is the rate: a burst of b comes after b·(1−rate)/rate good ones. */
  private untilBurst(): number {
    const mean = (this.burst * (1 - this.rate)) / this.rate;
    return triesUntil(this.random, 1 / (1 + mean)) - 1;
  }
}
