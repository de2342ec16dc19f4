/** One time that a request was sent to a server. A balancer that tries again sends one request several times. */
export interface Attempt {
  /** As the log names where it went: a server, an address, a version. */
  readonly place: string;
  /** Of the answer; undefined where none came. */
  readonly status: number | undefined;
  /** Where no whole answer came: whether that was the server's doing, or the client went away before it. */
  readonly broken: "by-server" | "by-client" | undefined;
  /** How often it was tried again at the same place. */
  readonly retries: number;
}

/** A line of an access log. */
export interface LoggedRequest {
  /** In the order in which they were made; at least one. */
  readonly attempts: readonly [Attempt, ...Attempt[]];
  /** Whether it was tried before at a place that the line does not tell. */
  readonly movedHere: boolean;
  /** Milliseconds for the client's request as a whole; undefined where the line does not tell. */
  readonly time: number | undefined;
}

/** `other`: a request of another backend, or one that no server got; `unknown`: a line that is not of the format. */
export type ParsedLine = LoggedRequest | "other" | "unknown";

/** Reads one line of a log. */
export type LineFormat = (line: string) => ParsedLine;
