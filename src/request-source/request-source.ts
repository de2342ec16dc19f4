/** What was counted for one version since its counting began; each only grows until that begins anew. */
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

/** One version's counters. A source leaves at zero what it does not know of. */
export type VersionCounts = {
  version: string;
  counters: Counters;
  /** Which process counted: another one after a restart or a reload. Versions that one process counts have the same. */
  process: string;
  /** The mean time to answer, in milliseconds; undefined where it is not known, as before the first answer. */
  meanResponse?: number;
  /** Milliseconds since they were counted, for what is scraped or polled; undefined: counted at this moment. */
  age?: number;
  /** Milliseconds since the source last had figures of the version; undefined: it has some, or never had any. */
  gone?: number;
};

export interface AnsweredRequest {
  readonly version: string;
  /** Of the client's request as a whole, in milliseconds. */
  readonly time: number;
  /** How many took this time; default: one. */
  readonly requests?: number;
}

/** What counts requests by version: of a route its balancer, or something that watches it; of a flag what knows the variants. */
export interface RequestSource {
  /**
   * Set where another system than the balancer counts: the weights can be set while it is away. `maxAge`: milliseconds
   * for which its silence is nothing unusual.
   */
  readonly apart?: { readonly maxAge: number };
  /** Set where nothing of before the first look is counted, so that one look alone says nothing. */
  readonly begins?: "at-first-look";
  /** Whether it knows `meanResponse` of versions that have answered; undefined: never. */
  readonly mean?: "known";
  /**
   * Cumulative counters of every version of the route. Throws where they cannot be had: missing figures are never zeros. An error that is
   * `retryable` may pass (a reload, a lost connection), another one ends what needs the figures.
   */
  read(signal?: AbortSignal): Promise<readonly VersionCounts[]>;
  /**
   * Throws a usage error that says what to configure where the source does not tell the times of requests.
   * @param limit milliseconds, from which on or up to which they must be known
   */
  requireTimes(limit: number, signal?: AbortSignal): Promise<void>;
  /**
   * Requests answered from now on, of every version; ends when the signal aborts or the source hangs up. Undefined
   * where nothing is configured that tells them.
   */
  readonly times: ((signal: AbortSignal) => AsyncIterable<AnsweredRequest>) | undefined;
  /** Lets go of what `read` keeps open. */
  close?(): Promise<void>;
}
