import type { Clock } from "../../src/core/clock.ts";
import { noCounts } from "../../src/request-source/counters.ts";
import type { Counters } from "../../src/request-source/request-source.ts";
import { sharesOf, type Weights } from "../../src/rollout/shares.ts";
import { type CountedRoute, counted } from "../../src/traffic/route.ts";
import { testContext } from "./context.ts";

/** Time that passes only while somebody sleeps. */
export function virtualClock(): Clock {
  let at = 0;
  return {
    now: () => new Date(Date.UTC(2026, 0, 1) + at),
    elapsed: () => at,
    async sleep(ms, signal) {
      signal?.throwIfAborted();
      at += ms;
    },
  };
}

/** A route of blue and green, with requests at a constant rate by a clock that the test holds. */
export class FakeTraffic {
  /** Requests per second of the route. */
  rate = 100;
  weights: Weights = { blue: 90, green: 10 };
  readonly route: CountedRoute;
  private readonly clock: Clock;
  private counters: Record<string, Counters> = { blue: noCounts, green: noCounts };
  private counted = 0;

  constructor(clock: Clock) {
    this.clock = clock;
    const routes = {
      web: { socket: "/nowhere", backend: "web", versions: { blue: "blue", green: "green" } },
    };
    this.route = counted({
      target: testContext({ routes }).environment.route("web"),
      driver: {
        scale: { maximum: 256 },
        weights: async () => this.weights,
        setWeights: async (weights) => {
          this.count();
          this.weights = weights;
        },
        states: async () =>
          Object.entries(this.weights).map(([version, weight]) => ({
            version,
            server: version,
            weight,
            health: "up",
            status: "UP",
            inFlight: 0,
          })),
      },
      requests: {
        read: async () => {
          this.count();
          return Object.entries(this.counters).map(([version, counters]) => ({
            version,
            process: "1",
            counters,
          }));
        },
        requireTimes: async () => undefined,
        times: undefined,
      },
    });
  }

  /** So many of the last requests of a version were bad. */
  fail(version: string, requests: number): void {
    this.count();
    const { serverErrors, ...rest } = this.counters[version] ?? noCounts;
    this.counters = {
      ...this.counters,
      [version]: { ...rest, serverErrors: serverErrors + requests },
    };
  }

  private count(): void {
    const seconds = (this.clock.elapsed() - this.counted) / 1000;
    this.counted = this.clock.elapsed();
    const shares = sharesOf(this.weights);
    this.counters = Object.fromEntries(
      Object.entries(this.counters).map(([version, before]) => {
        const requests = Math.round((this.rate * seconds * (shares[version] ?? 0)) / 100);
        return [
          version,
          { ...before, requests: before.requests + requests, answered: before.answered + requests },
        ];
      }),
    );
  }
}
