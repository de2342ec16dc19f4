import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { createConnection, createServer, type Server, type Socket } from "node:net";

/** Of all the connections together, counted from 1. */
export interface Boundary {
  /** `request`: a query, before the server gets it. `completion`: a statement that the server says is done, before the client hears it. */
  readonly event: "request" | "completion";
  readonly number: number;
}

/** A request that is on the way while its client dies, as in the buffers of a network. */
export interface HeldRequest {
  /** When the request has come this far. */
  readonly reached: Promise<void>;
  /** Lets the server have it. Resolves with what the server answers, as far as it is text. */
  release(): Promise<string>;
}

/**
 * Between a client and a PostgreSQL server. At a boundary it holds everything, acts, and cuts the connection; from
 * then on it lets everything pass.
 */
export class PostgresProxy implements AsyncDisposable {
  readonly seen = { request: 0, completion: 0 };
  private readonly server: Server;
  private readonly target: number;
  private readonly sockets = new Set<Socket>();
  private silences = 0;
  private held: { readonly isIt: (sql: string) => boolean; readonly hold: Hold } | undefined;
  private fault: { readonly at: Boundary; readonly act: () => Promise<void> } | undefined;

  private constructor(target: number) {
    this.target = target;
    this.server = createServer((client) => this.join(client));
  }

  static async start(target: number): Promise<PostgresProxy> {
    const proxy = new PostgresProxy(target);
    proxy.server.listen(0, "127.0.0.1");
    await once(proxy.server, "listening");
    return proxy;
  }

  url(database: string): string {
    return `postgresql://postgres@127.0.0.1:${(this.server.address() as AddressInfo).port}/${database}`;
  }

  /** Counts anew. `act` happens once; without it the connection is only cut. */
  arm(at: Boundary, act: () => Promise<void> = async () => undefined): void {
    this.seen.request = 0;
    this.seen.completion = 0;
    this.fault = { at, act };
  }

  /** Holds the first request whose text it is. Its connection to the server outlives that of its client. */
  holdBack(isIt: (sql: string) => boolean): HeldRequest {
    const hold = new Hold();
    this.held = { isIt, hold };
    return hold;
  }

  /** Every connection, at once; new ones pass. */
  cut(): void {
    for (const socket of this.sockets) socket.destroy();
  }

  /** From now on nothing comes through the present connections, and none of them ends; new ones pass. */
  silence(): void {
    this.silences += 1;
  }

  /** Whether the boundary was reached. */
  get fired(): boolean {
    return this.fault === undefined;
  }

  private join(client: Socket): void {
    const server = createConnection({ host: "127.0.0.1", port: this.target });
    let hold: Hold | undefined;
    const cut = () => {
      client.destroy();
      if (hold === undefined || hold.answered) server.destroy();
    };
    const { silences } = this;
    const waits = () => this.silences > silences;
    const passesToServer = async (type: string, message: Buffer) => {
      if (waits()) await forEver;
      const { held } = this;
      if (held === undefined || type !== "Q" || !held.isIt(message.toString())) {
        return this.passes("request", "QP".includes(type));
      }
      this.held = undefined;
      hold = held.hold;
      await hold.reach();
      server.write(message);
      await hold.answer;
      return false;
    };
    const passesToClient = (type: string, message: Buffer) => {
      if (waits()) return forEver;
      if (hold?.hear(type, message) === "heard") return true;
      return this.passes("completion", type === "C");
    };
    for (const socket of [client, server]) {
      this.sockets.add(socket);
      socket.setNoDelay(true);
      socket.on("error", () => undefined);
      socket.once("close", () => {
        this.sockets.delete(socket);
        cut();
      });
    }
    // The first message of a client has no type byte.
    relay(client, server, "untyped first", passesToServer, cut);
    relay(server, client, "typed", passesToClient, cut);
  }

  /** False at the boundary, when everything is done that happens there. */
  private passes(event: Boundary["event"], counts: boolean): boolean | Promise<boolean> {
    if (!counts) return true;
    this.seen[event] += 1;
    const { fault } = this;
    if (fault === undefined || fault.at.event !== event || fault.at.number !== this.seen[event]) return true;
    this.fault = undefined;
    return fault.act().then(() => false);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = once(this.server, "close");
    this.server.close();
    for (const socket of this.sockets) socket.destroy();
    await closed;
  }
}

const forEver = new Promise<never>(() => undefined);

class Hold implements HeldRequest {
  answered = false;
  readonly #reached = Promise.withResolvers<void>();
  readonly #released = Promise.withResolvers<void>();
  readonly #answer = Promise.withResolvers<string>();
  #said = "";

  get reached(): Promise<void> {
    return this.#reached.promise;
  }

  get answer(): Promise<string> {
    return this.#answer.promise;
  }

  release(): Promise<string> {
    this.#released.resolve();
    return this.#answer.promise;
  }

  /** Resolves when it may go on. */
  reach(): Promise<void> {
    this.#reached.resolve();
    return this.#released.promise;
  }

  /** What the server says from then on; it is ready for the next request when it has answered. */
  hear(type: string, message: Buffer): "heard" {
    this.#said += message.toString();
    if (type === "Z") {
      this.answered = true;
      this.#answer.resolve(this.#said);
    }
    return "heard";
  }
}

/** Passes message by message: a type byte, then four bytes of length that count themselves. */
async function relay(
  from: Socket,
  to: Socket,
  framing: "typed" | "untyped first",
  passes: (type: string, message: Buffer) => boolean | Promise<boolean>,
  cut: () => void,
): Promise<void> {
  let typeBytes = framing === "typed" ? 1 : 0;
  let held = Buffer.alloc(0);
  try {
    for await (const chunk of from) {
      held = Buffer.concat([held, chunk as Buffer]);
      while (held.length >= typeBytes + 4) {
        const end = typeBytes + held.readInt32BE(typeBytes);
        if (held.length < end) break;
        const type = typeBytes === 0 ? "" : String.fromCharCode(held[0] ?? 0);
        if (typeBytes === 1 && !(await passes(type, held.subarray(0, end)))) {
          cut();
          return;
        }
        to.write(held.subarray(0, end));
        held = held.subarray(end);
        typeBytes = 1;
      }
    }
    to.end();
  } catch {
    // One side went away in the middle: so does the other.
    cut();
  }
}
