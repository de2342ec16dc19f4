import type { EventEmitter } from "node:events";
import type { Socket } from "node:net";

/**
 * The parts of autocannon's client that its types do not show (lib/httpClient.js of 9.0.0; package.json pins that
 * version, and the tests of the load hold it to what is used here).
 */
export interface AutocannonClient extends EventEmitter {
  readonly parser: { initialize(type: "RESPONSE"): void; finish(): unknown };
  readonly pipelinedRequests: { size(): number; clear(): void };
  readonly timeoutTicker: { reschedule(ms: number): void };
  readonly requestIterator: { readonly currentRequestIndex: number };
  readonly timeout: number;
  readonly destroyed: boolean;
  conn: Socket;
  _connect(): void;
  _doRequest(): void;
  _destroyConnection(): void;
}

/** What a user meets; `step` is the place in its scenario. */
export interface UserEvents {
  readonly answered: (step: number, answer: { status: number; bytes: number; ms: number }) => void;
  /** Not answered in time; the user goes on with its next request on a new connection. */
  readonly timedOut: (step: number) => void;
  /** Not answered because its connection broke, or could not be made. */
  readonly lost: (step: number, error: NodeJS.ErrnoException | undefined) => void;
  /** Milliseconds to wait after the answer to a step. */
  readonly think: (step: number) => number;
}

/** Milliseconds between two tries of a user who got no answer on a connection at all. */
const retryAfter = 100;

/**
 * Makes a user of a client of autocannon, which by itself sends as fast as it can: it thinks between requests, keeps to
 * "connection: close", counts what is lost with a connection (autocannon forgets it, and takes the next answer for the
 * answer to it) and does not try a refused connection a thousand times a second.
 */
export function makeUser(client: AutocannonClient, events: UserEvents): void {
  const connect = client._connect.bind(client);
  const send = client._doRequest.bind(client);
  let waiting: NodeJS.Timeout | undefined;
  let [mayStay, isAnswered, answersHere] = [true, false, 0];
  let [sent, sentBefore] = [0, 0];

  const open = () => {
    if (client.destroyed) return;
    [mayStay, isAnswered, answersHere] = [true, false, 0];
    // Half an answer of the last connection would swallow the beginning of this one's.
    client.parser.initialize("RESPONSE");
    // Writes the first request too.
    connect();
    const { conn } = client;
    // Of autocannon's own listeners the one reconnects at once and the other forgets the request.
    conn.removeAllListeners("error").removeAllListeners("end");
    conn.once("error", (error) => broken(conn, error));
    conn.once("end", () => {
      // An answer without a length ends with its connection.
      client.parser.finish();
      broken(conn, undefined);
    });
  };

  const broken = (conn: Socket, error: NodeJS.ErrnoException | undefined) => {
    if (client.destroyed || client.conn !== conn) return;
    const isLost = client.pipelinedRequests.size() > 0;
    const pause = answersHere === 0 ? retryAfter : 0;
    client._destroyConnection();
    mayStay = false;
    if (isLost) events.lost(sent, error);
    // A thinking user opens it again when it needs it.
    if (waiting === undefined) wait(pause);
  };

  const wait = (pause: number) => {
    if (pause === 0) {
      goOn();
      return;
    }
    client.timeoutTicker.reschedule(client.timeout + pause);
    waiting = setTimeout(() => {
      waiting = undefined;
      goOn();
    }, pause);
  };

  const goOn = () => {
    if (client.destroyed) return;
    if (mayStay) {
      request();
      return;
    }
    client._destroyConnection();
    open();
  };

  const request = () => {
    sentBefore = sent;
    send();
    sent = client.requestIterator.currentRequestIndex;
  };

  client.on("headers", ({ shouldKeepAlive }: { shouldKeepAlive: boolean }) => {
    if (!shouldKeepAlive) mayStay = false;
  });
  client.on("response", (status: number, bytes: number, ms: number) => {
    isAnswered = true;
    answersHere += 1;
    events.answered(sent, { status, bytes, ms });
  });
  // Told when the next request is on its way already.
  client.on("timeout", () => events.timedOut(sentBefore));
  client._connect = open;
  client._doRequest = () => {
    // On a new connection the request is due; after an answer the user thinks first.
    if (!isAnswered) {
      request();
      return;
    }
    isAnswered = false;
    wait(events.think(sent));
  };
}
