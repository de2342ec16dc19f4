import { createHash, timingSafeEqual } from "node:crypto";
import { once } from "node:events";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { isIP } from "node:net";
import type { Json } from "../core/errors.ts";
import { OpsError } from "../core/errors.ts";
import { type Answer, answerAll, answerOne, eventPath } from "./ofrep.ts";
import { shownMistake } from "./servable.ts";
import type { ServedFlags } from "./served-flags.ts";

/** Bytes that a request may have: contexts are small. */
const largestBody = 256 * 1024;
/** Milliseconds. Idle connections stay for longer than balancers keep them (AWS: 60 s): who closes may meet a request. */
const timeouts = { requestTimeout: 30_000, headersTimeout: 10_000, keepAliveTimeout: 75_000 };
/** What paths are taken to begin with. */
const here = "http://localhost";
/** Listeners for changes at the same time. */
const mostStreams = 10_000;
/** Milliseconds between two signs of life on a stream, and that open requests get when the server stops. */
const [heartbeat, farewell] = [30_000, 5000];

export interface OfrepOptions {
  readonly host: string;
  /** 0: any. */
  readonly port: number;
  /** What clients must send; undefined: nothing, and then only names of this machine are answered to. */
  readonly token: string | undefined;
}

/** Serves flags by OFREP over HTTP, with a stream of changes and a page of health, until it is stopped. */
export class OfrepServer {
  evaluations = 0;
  private readonly flags: ServedFlags;
  private readonly token: Buffer | undefined;
  private readonly server: Server;
  private readonly streams = new Set<ServerResponse>();
  private readonly timer: NodeJS.Timeout;
  private readonly forget: () => void;

  private constructor(flags: ServedFlags, token: string | undefined) {
    this.flags = flags;
    this.token = token === undefined ? undefined : hashed(token);
    this.server = createServer(timeouts, (request, response) => {
      this.handle(request, response).catch(() => {
        if (response.headersSent) response.destroy();
        else send(response, { status: 500, body: { errorDetails: "the request could not be answered" } });
      });
    });
    this.forget = flags.onChange(() => this.tell(`data: {"type":"refetchEvaluation"}\n\n`));
    this.timer = setInterval(() => this.tell(": alive\n\n"), heartbeat).unref();
  }

  /** Throws `E_LISTEN`. */
  static async start(flags: ServedFlags, { host, port, token }: OfrepOptions): Promise<OfrepServer> {
    const started = new OfrepServer(flags, token);
    started.server.listen(port, host);
    try {
      await once(started.server, "listening");
    } catch (error) {
      await started.stop();
      throw new OpsError("E_LISTEN", `Nothing can listen on ${host}:${port}`, {
        cause: error,
        hint: "name another address or port: --listen 127.0.0.1:8017; see who has it: ss -ltnp",
      });
    }
    return started;
  }

  get port(): number {
    const address = this.server.address();
    return typeof address === "object" && address !== null ? address.port : 0;
  }

  /** Requests under way are answered; who does not read the answer is cut off. */
  async stop(): Promise<void> {
    this.forget();
    clearInterval(this.timer);
    for (const stream of this.streams) stream.end();
    if (!this.server.listening) return;
    const closed = once(this.server, "close");
    this.server.close();
    this.server.closeIdleConnections();
    const timer = setTimeout(() => this.server.closeAllConnections(), farewell);
    await closed;
    clearTimeout(timer);
  }

  private async handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const asWritten = request.url ?? "/";
    if (!URL.canParse(asWritten, here))
      return send(response, { status: 400, body: { errorDetails: "this is no address" } });
    const { pathname } = new URL(asWritten, here);
    if (pathname === "/healthz") return send(response, this.health());
    const refusal = this.refusal(request);
    if (refusal !== undefined) return send(response, refusal);
    if (pathname === eventPath)
      return request.method === "GET" ? this.stream(response) : send(response, only("GET"));
    const key = /^\/ofrep\/v1\/evaluate\/flags(?:\/([^/]+))?$/.exec(pathname);
    if (key === null) return send(response, { status: 404, body: { errorDetails: "there is nothing here" } });
    if (request.method !== "POST") return send(response, only("POST"));
    const body = await bodyOf(request);
    if (body === undefined) {
      return send(response, {
        status: 413,
        body: { errorDetails: `a request has at most ${largestBody} bytes` },
        headers: { connection: "close" },
      });
    }
    const [, name] = key;
    this.evaluations += name === undefined ? this.flags.names.length : 1;
    const asked = name === undefined ? undefined : decoded(name);
    return send(
      response,
      asked === undefined
        ? answerAll(this.flags, body, request.headers["if-none-match"])
        : answerOne(this.flags, asked, body),
    );
  }

  private health(): Answer {
    const { problem, mistakes, confirmedAt, names } = this.flags;
    const body = {
      status: problem !== undefined ? "stale" : mistakes.length > 0 ? "mistakes" : "ok",
      flags: names.length,
      confirmedAt: confirmedAt.toISOString(),
      ...(problem !== undefined && { problem }),
      ...(mistakes.length > 0 && { mistakes: mistakes.map(shownMistake) }),
    };
    return { status: 200, body };
  }

  /** Undefined: go on. */
  private refusal({ headers }: IncomingMessage): Answer | undefined {
    if (this.token === undefined) {
      // A page in a browser of this machine may be made to ask under a name of its own.
      const [, host = ""] = /^\[?([^\]]*?)\]?(?::\d+)?$/.exec(headers.host ?? "") ?? [];
      const isOwn = host === "localhost" || (isIP(host) !== 0 && isLoopback(host));
      return isOwn
        ? undefined
        : { status: 403, body: { errorDetails: "ask by localhost, or configure a token" } };
    }
    const bearer = /^Bearer +(\S+)$/i.exec(headers.authorization ?? "")?.[1];
    const given = bearer ?? headers["x-api-key"];
    if (typeof given === "string" && timingSafeEqual(hashed(given), this.token)) return undefined;
    return {
      status: 401,
      body: { errorDetails: "the token is missing or wrong" },
      headers: { "www-authenticate": "Bearer" },
    };
  }

  private stream(response: ServerResponse): void {
    if (this.streams.size >= mostStreams) {
      send(response, {
        status: 429,
        body: { errorDetails: "too many listeners" },
        headers: { "retry-after": "30" },
      });
      return;
    }
    response.writeHead(200, { "content-type": "text/event-stream", "cache-control": "no-store" });
    response.write(": listening\n\n");
    this.streams.add(response);
    response.on("close", () => this.streams.delete(response));
  }

  /** A listener that does not read is let go: it would keep every message in memory. */
  private tell(text: string): void {
    for (const stream of this.streams) {
      if (stream.writableNeedDrain) stream.destroy();
      else stream.write(text);
    }
  }
}

export function isLoopback(host: string): boolean {
  return host === "localhost" || host === "::1" || /^127\.\d+\.\d+\.\d+$/.test(host);
}

const hashed = (token: string) => createHash("sha256").update(token).digest();

const only = (method: string): Answer => ({
  status: 405,
  body: { errorDetails: `only ${method} is understood here` },
  headers: { allow: method },
});

/** What is not encoded well is taken as it is: there is no such flag. */
function decoded(name: string): string {
  try {
    return decodeURIComponent(name);
  } catch {
    return name;
  }
}

/** Undefined where it is too large. */
async function bodyOf(request: IncomingMessage): Promise<string | undefined> {
  const parts: Buffer[] = [];
  let bytes = 0;
  for await (const part of request as AsyncIterable<Buffer>) {
    bytes += part.length;
    if (bytes > largestBody) return undefined;
    parts.push(part);
  }
  return Buffer.concat(parts).toString("utf8");
}

function send(response: ServerResponse, { status, body, headers }: Answer): void {
  const text = body === undefined ? "" : JSON.stringify(body satisfies Json);
  response.writeHead(status, {
    ...(body !== undefined && {
      "content-type": "application/json",
      "content-length": Buffer.byteLength(text),
    }),
    "cache-control": "no-store",
    ...headers,
  });
  response.end(text);
}
