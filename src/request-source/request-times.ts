import type { Clock } from "../core/clock.ts";
import { OpsError } from "../core/errors.ts";
import type { AnsweredRequest, RequestSource } from "./request-source.ts";
import { ResponseTimes } from "./response-times.ts";

/** Milliseconds before the balancer is asked again after it hung up (a reload). */
const reconnectAfter = 250;

/** Follows the request times of all versions in the background until it is closed. */
export class RequestTimesFollower implements AsyncDisposable {
  private times = new Map<string, ResponseTimes>();
  private failure: unknown;
  private readonly closed = new AbortController();
  private readonly running: Promise<void>;

  constructor(times: NonNullable<RequestSource["times"]>, clock: Clock) {
    this.running = this.follow(times, clock);
  }

  /** The times since the last call, by version. Throws what made following impossible. */
  take(): ReadonlyMap<string, ResponseTimes> {
    if (this.failure !== undefined) throw this.failure;
    const taken = this.times;
    this.times = new Map();
    return taken;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.closed.abort();
    await this.running;
  }

  private add({ version, time, requests }: AnsweredRequest): void {
    const times = this.times.get(version) ?? new ResponseTimes();
    times.add(time, requests);
    this.times.set(version, times);
  }

  private async follow(times: NonNullable<RequestSource["times"]>, clock: Clock): Promise<void> {
    const { signal } = this.closed;
    while (!signal.aborted) {
      try {
        for await (const request of times(signal)) this.add(request);
        await clock.sleep(reconnectAfter, signal);
      } catch (error) {
        if (signal.aborted) return;
        // A balancer that is away for a moment is the looks' business; they say so when it stays away.
        if (!(error instanceof OpsError && error.retryable)) {
          this.failure = error;
          return;
        }
        await clock.sleep(reconnectAfter, signal).catch(() => undefined);
      }
    }
  }
}
