import type { Duration } from "../core/duration.ts";
import type { OpsError } from "../core/errors.ts";
import type { Percent } from "../core/percent.ts";
import type { RequestSource } from "../request-source/request-source.ts";
import type { CanaryLimits } from "./limits.ts";
import type { Reading, VersionState } from "./reading.ts";
import type { Weights } from "./shares.ts";

/** What is given out step by step while its requests are watched: the versions of a route, the variants of a flag. */
export interface Watched {
  /** Of a route, shares of the traffic are given out; of a flag, shares of the users. */
  readonly kind: "route" | "flag";
  readonly requests: RequestSource;
  /**
   * `users`: each stays with its version, so that the share of the requests only comes near that of the users. `some-users`:
   * lists and rules decide too, so that it may be any. Default: requests.
   */
  readonly splits?: "requests" | "users" | "some-users" | undefined;
  /** Of every version. */
  states(signal?: AbortSignal): Promise<readonly VersionState[]>;
  /** One look at weights, health and counters. */
  read(signal?: AbortSignal): Promise<Reading>;
  /** What is thrown where somebody else has changed the weights. */
  drift(present: Weights, intended: Weights): OpsError;
  /** The command that lets it go on from a pause. */
  readonly promote: string;
}

/** One step, whose weights are set. */
export interface WatchedStep {
  /** Percent that the new version is to have. */
  readonly share: Percent;
  readonly weights: Weights;
}

/** How a step is watched and judged; times in milliseconds. */
export interface WatchSettings {
  /** The new version. */
  readonly to: string;
  readonly bake: Duration;
  readonly extend?: Duration | undefined;
  readonly extensions: number;
  readonly interval: Duration;
  readonly "min-requests": number;
  readonly "abort-when": CanaryLimits;
  readonly "warm-up": Duration;
  readonly deadline?: Duration | undefined;
  readonly unpromoted: "fail" | "hold" | "promote";
}
