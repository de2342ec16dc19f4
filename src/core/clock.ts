import { setTimeout as delay } from "node:timers/promises";

/** Where time comes from, so that a test can hold it. */
export interface Clock {
  now(): Date;
  /** Monotonic, in milliseconds; for measuring, never for dates. */
  elapsed(): number;
  /** Rejects with the signal's reason as soon as it aborts. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
}

export const systemClock: Clock = {
  now: () => new Date(),
  elapsed: () => performance.now(),
  sleep: async (ms, signal) => {
    try {
      await delay(ms, undefined, signal === undefined ? undefined : { signal });
    } catch (error) {
      throw signal?.aborted === true ? signal.reason : error;
    }
  },
};
