import { once } from "node:events";
import {
  Agent,
  createServer,
  type IncomingMessage,
  type RequestListener,
  request,
  type Server,
  type ServerResponse,
} from "node:http";
import { createServer as createTlsServer } from "node:https";
import type { AddressInfo } from "node:net";
import { Transform } from "node:stream";
import { pipeline } from "node:stream/promises";

/** What happens to a request. */
export type Fault =
  /** The proxy answers itself, as S3 words its errors; the server never hears of it. */
  | { readonly kind: "answer"; readonly status: number; readonly code: string }
  /** The connection breaks when so many bytes of the request's body have come. */
  | { readonly kind: "cut request"; readonly after: number }
  /** The server does what is asked, but the connection breaks before the client hears it. */
  | { readonly kind: "lose answer" }
  /** The connection breaks when so many bytes of the answer's body have gone to the client. */
  | { readonly kind: "truncate"; readonly after: number }
  /** The answer stops there, without an end. */
  | { readonly kind: "stall"; readonly after: number }
  /** One bit of the request's body, at that place, changes on the way. */
  | { readonly kind: "flip"; readonly at: number }
  /** The request waits for that. */
  | { readonly kind: "hold"; readonly until: Promise<void> };

export interface SeenRequest {
  readonly method: string;
  /** With the query. */
  readonly url: string;
  readonly headers: IncomingMessage["headers"];
}

interface Rule {
  readonly matches: (seen: SeenRequest) => boolean;
  readonly fault: Fault;
  times: number;
}

/** Between an S3 client and a server, on the loopback; passes everything on but what a rule is for. */
export class S3Proxy implements AsyncDisposable {
  readonly seen: SeenRequest[] = [];
  private readonly server: Server;
  private readonly target: URL;
  private readonly agent = new Agent({ keepAlive: true });
  private readonly secure: boolean;
  private rules: Rule[] = [];

  private constructor(target: string, tls: { readonly key: string; readonly cert: string } | undefined) {
    this.target = new URL(target);
    this.secure = tls !== undefined;
    const listener: RequestListener = (incoming, answer) => {
      const { socket } = incoming;
      void this.pass(incoming, answer).catch(() => socket.destroy());
    };
    this.server = tls === undefined ? createServer(listener) : createTlsServer(tls, listener);
  }

  /** @param target the server's endpoint */
  static async start(
    target: string,
    tls?: { readonly key: string; readonly cert: string },
  ): Promise<S3Proxy> {
    const proxy = new S3Proxy(target, tls);
    proxy.server.listen(0, "127.0.0.1");
    await once(proxy.server, "listening");
    return proxy;
  }

  get endpoint(): string {
    const { port } = this.server.address() as AddressInfo;
    return `http${this.secure ? "s" : ""}://127.0.0.1:${port}`;
  }

  /** The next so many requests that match meet the fault. */
  fault(matches: Rule["matches"], fault: Fault, times = 1): void {
    this.rules.push({ matches, fault, times });
  }

  /** How many faults have not happened yet. */
  get pending(): number {
    return this.rules.reduce((sum, each) => sum + each.times, 0);
  }

  /** As a server that goes away: connections break, new ones are refused, until it is started again. */
  async stop(): Promise<void> {
    const closed = once(this.server, "close");
    this.server.close();
    this.server.closeAllConnections();
    await closed;
  }

  async restart(port: number): Promise<void> {
    this.server.listen(port, "127.0.0.1");
    await once(this.server, "listening");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.server.listening) await this.stop();
    this.agent.destroy();
  }

  private async pass(incoming: IncomingMessage, answer: ServerResponse): Promise<void> {
    const seen = { method: incoming.method ?? "", url: incoming.url ?? "", headers: incoming.headers };
    this.seen.push(seen);
    const rule = this.rules.find((each) => each.times > 0 && each.matches(seen));
    if (rule !== undefined) rule.times -= 1;
    const fault = rule?.fault;
    if (fault?.kind === "hold") await fault.until;
    if (fault?.kind === "answer") {
      incoming.resume();
      await once(incoming, "end");
      const body = `<?xml version="1.0"?><Error><Code>${fault.code}</Code><Message>as the test wants it</Message></Error>`;
      answer.writeHead(fault.status, { "content-type": "application/xml" }).end(body);
      return;
    }
    const { expect: _, ...headers } = incoming.headers;
    const outgoing = request({
      host: this.target.hostname,
      port: this.target.port,
      method: incoming.method,
      path: incoming.url,
      headers,
      agent: this.agent,
    });
    const answered = once(outgoing, "response") as Promise<[IncomingMessage]>;
    answered.catch(() => undefined);
    await pipeline(incoming, changed(fault), outgoing);
    const [response] = await answered;
    if (fault?.kind === "lose answer") {
      response.resume();
      await once(response, "end");
      answer.destroy();
      return;
    }
    answer.writeHead(response.statusCode ?? 500, response.headers);
    const limit =
      fault?.kind === "truncate" || fault?.kind === "stall" ? fault.after : Number.POSITIVE_INFINITY;
    let sent = 0;
    for await (const chunk of response as AsyncIterable<Buffer>) {
      const part = chunk.subarray(0, limit - sent);
      sent += part.length;
      if (!answer.write(part)) await drained(answer);
      if (sent < limit) continue;
      if (fault?.kind === "stall") await once(answer, "close");
      answer.destroy();
      return;
    }
    answer.end();
  }
}

/** Ends also where the client is gone. */
async function drained(answer: ServerResponse): Promise<void> {
  const over = new AbortController();
  const options = { signal: over.signal };
  const both = [once(answer, "drain", options), once(answer, "close", options)];
  await Promise.race(both);
  over.abort();
  await Promise.allSettled(both);
}

/** The request's body on its way to the server. */
function changed(fault: Fault | undefined): Transform {
  let passed = 0;
  return new Transform({
    transform(chunk: Buffer, _encoding, done) {
      const begin = passed;
      passed += chunk.length;
      if (fault?.kind === "cut request" && passed > fault.after) {
        done(new Error("cut by the test"));
        return;
      }
      if (fault?.kind === "flip" && begin <= fault.at && fault.at < passed) {
        const copy = Buffer.from(chunk);
        copy[fault.at - begin] = (copy[fault.at - begin] ?? 0) ^ 1;
        done(null, copy);
        return;
      }
      done(null, chunk);
    },
  });
}

/** Requests of a kind: a part of an upload, its end, … */
export const requests = {
  part:
    (number?: number) =>
    ({ method, url }: SeenRequest): boolean =>
      method === "PUT" && new RegExp(`[?&]partNumber=${number ?? "\\d+"}(&|$)`).test(url),
  begin: ({ method, url }: SeenRequest): boolean => method === "POST" && /[?&]uploads(=|&|$)/.test(url),
  complete: ({ method, url }: SeenRequest): boolean => method === "POST" && /[?&]uploadId=/.test(url),
  abort: ({ method, url }: SeenRequest): boolean => method === "DELETE" && /[?&]uploadId=/.test(url),
  whole: ({ method, url }: SeenRequest): boolean => method === "PUT" && !/[?&]partNumber=/.test(url),
  read: ({ method, url }: SeenRequest): boolean =>
    method === "GET" && !/list-type|uploads|uploadId|versions/.test(url),
  list: ({ method, url }: SeenRequest): boolean => method === "GET" && /list-type=2/.test(url),
  any: (): boolean => true,
} as const;
