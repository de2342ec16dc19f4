/** Version → weight, an absolute integer from 0 to 256. */
export type Weights = { [version: string]: number };

/** What the balancer has counted for one version since it started; each only grows until the balancer restarts. */
export type Counters = {
  /** Requests sent to the version, also those that were retried elsewhere afterwards. */
  requests: number;
  /** Whole answers that came from the version, whatever their status. */
  answered: number;
  /** Answers with a 5xx status. */
  serverErrors: number;
  connectionErrors: number;
  /** Answers that broke off or were no HTTP. */
  responseErrors: number;
  /** Requests that had to be sent again. */
  retries: number;
  /** Requests that had to be sent to another version. */
  redispatches: number;
  /** Health checks that failed while the version counted as up. */
  failedChecks: number;
};

/** `up`: healthy; `failing`: some checks failed, still in use; `down`: not in use. */
export type Health = "up" | "failing" | "down";

export type VersionReading = {
  version: string;
  server: string;
  weight: number;
  health: Health;
  /** As the balancer calls it: `UP`, `UP 1/2`, `DOWN`, `MAINT`. */
  status: string;
  counters: Counters;
  /** Which process of the balancer counted: another one after a restart or a reload. */
  process: string;
  /** The balancer's own mean time to answer, in milliseconds; undefined before the first answer. */
  meanResponse?: number;
};

/** One look at a route. Every version of the route is in it. */
export type Reading = readonly VersionReading[];

export interface AnsweredRequest {
  readonly version: string;
  /** Of the client's request as a whole, in milliseconds. */
  readonly time: number;
}

/** The adapter of one balancer, for one route. */
export interface TrafficDriver {
  weights(signal?: AbortSignal): Promise<Weights>;
  /** Sets absolute weights and reads them back; throws `E_WEIGHT_NOT_SET` where the balancer has others afterwards. */
  setWeights(weights: Weights, signal?: AbortSignal): Promise<void>;
  read(signal?: AbortSignal): Promise<Reading>;
  /** Throws `E_REQUEST_RING` (usage) where the balancer is not configured to tell the time of each request. */
  requireRequestTimes(signal?: AbortSignal): Promise<void>;
  /** Requests answered from now on, of every version; ends when the signal aborts or the balancer hangs up. */
  followRequests(signal: AbortSignal): AsyncIterable<AnsweredRequest>;
}
