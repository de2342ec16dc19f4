import autocannon from "autocannon";

/** @typedef {{ requests: number, failed: number }} Counts */

/** Enough that 10% of it gives a canary a verdict in a few seconds, little enough for a laptop. */
export const requestsPerSecond = 300;
const connections = 8;

/** Steady requests to one URL until it is stopped, counted where the users are: in front of the balancer. */
export class Load {
  /** @param {string} url */
  constructor(url) {
    this.requests = 0;
    this.failed = 0;
    this.instance = autocannon(
      { url, connections, overallRate: requestsPerSecond, duration: 600 },
      (error) => {
        if (error) throw error;
      },
    );
    this.instance.on("response", (_client, statusCode) => this.count(statusCode === 200));
    // No answer at all: a refused or broken connection, a timeout.
    this.instance.on("reqError", () => this.count(false));
  }

  /** Answered requests so far; a failed one got no answer, or another one than 200. @returns {Counts} */
  counts() {
    return { requests: this.requests, failed: this.failed };
  }

  stop() {
    this.instance.stop();
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
