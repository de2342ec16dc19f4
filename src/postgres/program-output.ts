import type { Readable } from "node:stream";

/** Bytes that may wait for the one who reads, besides what the pipe holds. */
const limit = 1024 * 1024;

/**
 * What a program writes, kept from the first moment on: Node throws away what nobody reads of a program that has
 * ended. The program is made to wait while much is unread.
 */
export class ProgramOutput {
  private readonly stream: Readable;
  private chunks: Buffer[] = [];
  private waiting = 0;
  private hasEnded = false;
  private error: Error | undefined;
  private wake: () => void = () => undefined;

  constructor(stream: Readable) {
    this.stream = stream;
    stream.on("data", (chunk: Buffer) => {
      this.chunks.push(chunk);
      this.waiting += chunk.length;
      if (this.waiting >= limit) stream.pause();
      this.wake();
    });
    stream.once("error", (error) => {
      this.error = error;
      this.end();
    });
    stream.once("close", () => this.end());
  }

  /** For one reader, once. Throws where the pipe could not be read. */
  read(): AsyncGenerator<Buffer> {
    return this.chunksUntilEnd(() => undefined);
  }

  /**
   * As `read`, but a chunk is there only until the next one is asked for: its memory is given back at once. A garbage
   * collection for every few MB of a large dump would cost a quarter of the time.
   */
  lend(): AsyncGenerator<Buffer> {
    return this.chunksUntilEnd(({ buffer }) => {
      if (buffer instanceof ArrayBuffer && !buffer.detached) buffer.transfer(0);
    });
  }

  private async *chunksUntilEnd(release: (chunk: Buffer) => void): AsyncGenerator<Buffer> {
    for (;;) {
      const { chunks } = this;
      if (chunks.length > 0) {
        this.chunks = [];
        this.waiting = 0;
        for (const chunk of chunks) {
          yield chunk;
          release(chunk);
        }
        this.stream.resume();
      } else if (this.hasEnded) {
        if (this.error !== undefined) throw this.error;
        return;
      } else {
        await new Promise<void>((resolve) => {
          this.wake = resolve;
        });
      }
    }
  }

  private end(): void {
    this.hasEnded = true;
    this.wake();
  }
}
