import { once } from "node:events";
import type { Writable } from "node:stream";
import type pg from "pg";

/** The part of the driver's connection that a command of ours sees; the driver types none of it. */
interface ProtocolConnection {
  readonly stream: Writable;
  query(text: string): void;
  sendCopyFromChunk(chunk: Buffer): void;
  endCopyFrom(): void;
  sendCopyFail(message: string): void;
}

/**
 * Tells the server which base backup the next one of this replication connection is incremental to: its manifest
 * (PostgreSQL 17; the manual: Streaming Replication Protocol, UPLOAD_MANIFEST). Memory is constant. Throws what the
 * source throws, and the server's errors.
 */
export async function uploadManifest(client: pg.Client, manifest: AsyncIterable<Uint8Array>): Promise<void> {
  await client.query(new UploadCommand(manifest)).ended;
}

class UploadCommand implements pg.Submittable {
  readonly ended: Promise<void>;
  private readonly manifest: AsyncIterable<Uint8Array>;
  private readonly refused = new AbortController();
  private readonly settle: PromiseWithResolvers<void>;
  private connection: ProtocolConnection | undefined;
  private failure: unknown;

  constructor(manifest: AsyncIterable<Uint8Array>) {
    this.manifest = manifest;
    this.settle = Promise.withResolvers();
    this.ended = this.settle.promise;
    // Whoever awaits it gets it.
    this.ended.catch(() => undefined);
  }

  submit(connection: unknown): void {
    this.connection = connection as ProtocolConnection;
    this.connection.query("UPLOAD_MANIFEST");
  }

  handleCopyInResponse(): void {
    void this.send();
  }

  handleCommandComplete(): void {
    // The server is ready for the next command only after this.
  }

  handleReadyForQuery(): void {
    this.settle.resolve();
  }

  handleError(error: Error): void {
    this.refused.abort(error);
    this.settle.reject(this.failure ?? error);
  }

  private async send(): Promise<void> {
    const { connection } = this;
    if (connection === undefined) return;
    const { signal } = this.refused;
    try {
      for await (const chunk of this.manifest) {
        signal.throwIfAborted();
        connection.sendCopyFromChunk(Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength));
        if (connection.stream.writableNeedDrain) await once(connection.stream, "drain", { signal });
      }
      connection.endCopyFrom();
    } catch (error) {
      if (signal.aborted) return;
      this.failure = error;
      connection.sendCopyFail("the manifest cannot be read");
    }
  }
}
