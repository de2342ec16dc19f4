import autocannon from "autocannon";

/** @typedef {{ requests: number, failed: number }} Counts */

/** Enough that 10% of it gives a canary a verdict in a few seconds, little enough for a laptop. */
export const requestsPerSecond = 300;

/**
 * autocannon sends what it may send in a second at the second's beginning and then pauses. Several of them, begun one
 * after the other, give traffic without such pauses.
 */
const generators = 10;

/** Steady requests to one URL until it is stopped, counted where the users are: in front of the balancer. */
export class Load {
  /** @param {string} url */
  constructor(url) {
    this.requests = 0;
    this.failed = 0;
    this.stopped = false;
    /** @type {autocannon.Instance[]} */
    this.running = [];
    for (let index = 0; index < generators; index += 1)
      setTimeout(() => this.begin(url), (1000 / generators) * index);
  }

  /** Answered requests so far; a failed one got no answer, or another one than 200. @returns {Counts} */
  counts() {
    return { requests: this.requests, failed: this.failed };
  }

  stop() {
    this.stopped = true;
    for (const each of this.running) each.stop();
  }

  /** @param {string} url */
  begin(url) {
    if (this.stopped) return;
    const overallRate = requestsPerSecond / generators;
    const instance = autocannon({ url, connections: 1, overallRate, duration: 600 }, (error) => {
      if (error) throw error;
    });
    instance.on("response", (_client, statusCode) => this.count(statusCode === 200));
    // No answer at all: a refused or broken connection, a timeout.
    instance.on("reqError", () => this.count(false));
    this.running.push(instance);
  }

  /** @param {boolean} succeeded */
  count(succeeded) {
    this.requests += 1;
    if (!succeeded) this.failed += 1;
  }
}

/** @param {Counts} before @param {Counts} after @returns {Counts} */
export function between(before, after) {
  return { requests: after.requests - before.requests, failed: after.failed - before.failed };
}
