import { Readable } from "node:stream";
import type pg from "pg";

interface CopyConnection {
  readonly stream: {
    pause(): void;
    resume(): void;
    destroy(): void;
    readonly writableNeedDrain: boolean;
    once(event: "drain" | "close", listener: () => void): void;
  };
  query(text: string): void;
  sendCopyFromChunk(chunk: Uint8Array): void;
  endCopyFrom(): void;
  sendCopyFail(reason: string): void;
}

/** Rows that wait together for their reader: at most so many, and so many bytes. */
const batchRows = 512;
const batchBytes = 256 * 1024;

/**
 * The rows of `COPY … TO STDOUT`, each with its line feed, in batches. Memory is constant: the server waits for who
 * reads. Who stops before the end has broken the connection. Throws what the server says.
 */
export function copyOut(client: pg.Client, sql: string): AsyncIterable<readonly Buffer[]> {
  return client.query(new CopyOut(sql)).batches;
}

/**
 * Feeds `COPY … FROM STDIN` and returns how many rows the server took. Where the source fails, the server takes none
 * and the source's error is thrown. Memory is constant.
 */
export function copyIn(client: pg.Client, sql: string, source: AsyncIterable<Uint8Array>): Promise<number> {
  return client.query(new CopyIn(sql, source)).rows;
}

/** As the driver's queue takes it; the driver types none of what a query sees of its connection. */
class CopyOut implements pg.Submittable {
  readonly batches: AsyncIterable<readonly Buffer[]> & Readable;
  private readonly text: string;
  private connection: CopyConnection | undefined;
  private batch: Buffer[] = [];
  private bytes = 0;
  private isOver = false;

  constructor(text: string) {
    this.text = text;
    this.batches = new Readable({
      objectMode: true,
      highWaterMark: 4,
      read: () => this.connection?.stream.resume(),
      destroy: (error, done) => {
        // The server would wait for its reader, and we for the end of the connection.
        if (!this.isOver) this.connection?.stream.destroy();
        done(error);
      },
    });
    // Whoever reads gets it; nobody may be reading yet.
    this.batches.on("error", () => undefined);
  }

  submit(connection: unknown): void {
    this.connection = connection as CopyConnection;
    this.connection.query(this.text);
  }

  handleCopyData({ chunk }: { readonly chunk: Buffer }): void {
    // The driver uses its buffer again for what comes next.
    this.batch.push(Buffer.from(chunk));
    this.bytes += chunk.length;
    if (this.batch.length >= batchRows || this.bytes >= batchBytes) this.flush();
  }

  handleCommandComplete(): void {
    this.flush();
  }

  handleReadyForQuery(): void {
    this.isOver = true;
    this.batches.push(null);
  }

  handleError(error: Error): void {
    this.isOver = true;
    this.connection?.stream.resume();
    this.batches.destroy(error);
  }

  private flush(): void {
    const { batch } = this;
    this.batch = [];
    this.bytes = 0;
    if (batch.length > 0 && !this.batches.push(batch)) this.connection?.stream.pause();
  }
}

class CopyIn implements pg.Submittable {
  readonly rows: Promise<number>;
  private readonly text: string;
  private readonly source: AsyncIterable<Uint8Array>;
  private connection: CopyConnection | undefined;
  private count = 0;
  private sourceError: unknown;
  private isRefused = false;
  private resolve: (rows: number) => void = () => undefined;
  private reject: (error: unknown) => void = () => undefined;

  constructor(text: string, source: AsyncIterable<Uint8Array>) {
    this.text = text;
    this.source = source;
    this.rows = new Promise((resolve, reject) => {
      this.resolve = resolve;
      this.reject = reject;
    });
  }

  submit(connection: unknown): void {
    this.connection = connection as CopyConnection;
    this.connection.query(this.text);
  }

  handleCopyInResponse(): void {
    void this.pump();
  }

  handleCommandComplete({ text }: { readonly text: string }): void {
    this.count = Number(/^COPY (\d+)/.exec(text)?.[1] ?? 0);
  }

  handleReadyForQuery(): void {
    this.resolve(this.count);
  }

  handleError(error: Error): void {
    this.isRefused = true;
    this.reject(this.sourceError ?? error);
  }

  private async pump(): Promise<void> {
    const { connection } = this;
    if (connection === undefined) return;
    const { stream } = connection;
    const closed = new Promise<void>((done) => stream.once("close", done));
    try {
      for await (const chunk of this.source) {
        if (this.isRefused) return;
        connection.sendCopyFromChunk(chunk);
        if (stream.writableNeedDrain) {
          await Promise.race([new Promise<void>((done) => stream.once("drain", done)), closed]);
        }
      }
      if (!this.isRefused) connection.endCopyFrom();
    } catch (error) {
      this.sourceError = error;
      if (!this.isRefused) connection.sendCopyFail("the source of the rows failed");
    }
  }
}
