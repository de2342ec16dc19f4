import { once } from "node:events";
import { createServer, connect as dial, type Server, type Socket } from "node:net";

/** A server's port behind which what the server sends stands still once so many bytes have passed, until it is let go. */
export class HeldConnection implements AsyncDisposable {
  readonly port: number;
  /** So many bytes have passed. */
  readonly held: Promise<void>;
  private readonly server: Server;
  private readonly sockets: readonly Socket[];
  private readonly goOn: () => void;

  private constructor(
    server: Server,
    port: number,
    sockets: readonly Socket[],
    held: Promise<void>,
    goOn: () => void,
  ) {
    this.server = server;
    this.port = port;
    this.sockets = sockets;
    this.held = held;
    this.goOn = goOn;
  }

  static async start(target: number, bytes: number): Promise<HeldConnection> {
    const reached = Promise.withResolvers<void>();
    const released = Promise.withResolvers<void>();
    const sockets: Socket[] = [];
    let passed = 0;
    const server = createServer((client) => {
      const upstream = dial(target, "127.0.0.1");
      sockets.push(client, upstream);
      for (const each of [client, upstream]) {
        each.on("error", () => undefined);
        each.on("close", () => {
          client.destroy();
          upstream.destroy();
        });
      }
      client.pipe(upstream);
      upstream.on("data", (chunk: Buffer) => {
        client.write(chunk);
        passed += chunk.length;
        if (passed < bytes) return;
        reached.resolve();
        upstream.pause();
        void released.promise.then(() => upstream.resume());
      });
    });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const address = server.address();
    if (address === null || typeof address === "string") throw new Error("the server listens on no port");
    return new HeldConnection(server, address.port, sockets, reached.promise, released.resolve);
  }

  release(): void {
    this.goOn();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.release();
    for (const each of this.sockets) each.destroy();
    this.server.close();
    await once(this.server, "close");
  }
}
