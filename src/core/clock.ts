import { setTimeout as delay } from "node:timers/promises";

/** Where time comes from, so that a test can hold it. */
export interface Clock {
  now(): Date;
  /** Monotonic, in milliseconds; for measuring, never for dates. */
  elapsed(): number;
  /** Rejects with the signal's reason as soon as it aborts. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
}

/** Node ends a longer one at once, in milliseconds. */
const longestDelay = 2 ** 31 - 1;

export const systemClock: Clock = {
  now: () => new Date(),
  elapsed: () => performance.now(),
  sleep: async (ms, signal) => {
    try {
      const options = signal === undefined ? undefined : { signal };
      for (let left = ms; left > 0; left -= longestDelay)
        await delay(Math.min(left, longestDelay), undefined, options);
      signal?.throwIfAborted();
    } catch (error) {
      throw signal?.aborted === true ? signal.reason : error;
    }
  },
};
