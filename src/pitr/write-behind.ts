import { closeSync, write, writeSync } from "node:fs";
import { promisify } from "node:util";
import { release } from "../storage/released.ts";

const writePiece = promisify(write);
/** Smaller pieces are written at once: a call that waits costs them less than the way to the thread pool and back. */
const large = 64 * 1024;
/** Bytes that are on their way to files at most. */
const most = 4 * 2 ** 20;

/** A file that is being written. Closed by `finish`, once all of its pieces are written. */
export interface WrittenFile {
  readonly file: number;
  position: number;
  readonly pieces: Promise<void>[];
}

/**
 * Writes large pieces while the next ones are read, decompressed and compared, those of several files at a time. Memory
 * is constant. The first failure is thrown by the next call.
 */
export class WriteBehind {
  private readonly underway = new Set<Promise<void>>();
  private bytes = 0;
  private failure: { readonly error: unknown } | undefined;

  /** Resolves when the next piece may come. This one must not change before it is written. */
  async add(to: WrittenFile, piece: Buffer): Promise<void> {
    const { position } = to;
    to.position += piece.length;
    if (piece.length < large) {
      for (let done = 0; done < piece.length; )
        done += writeSync(to.file, piece, done, piece.length - done, position + done);
      return;
    }
    this.bytes += piece.length;
    const written = this.track(async () => {
      try {
        for (let done = 0; done < piece.length; )
          done += (await writePiece(to.file, piece, done, piece.length - done, position + done)).bytesWritten;
      } finally {
        this.bytes -= piece.length;
      }
    });
    to.pieces.push(written);
    while (this.bytes > most) await Promise.race(this.underway);
    this.check();
  }

  /** All of the file's pieces were given. */
  finish({ file, pieces }: WrittenFile): void {
    if (pieces.length === 0) closeSync(file);
    else this.track(() => Promise.all(pieces).then(() => closeSync(file)));
  }

  /** Gives the memory of each chunk back once what came of it is written. */
  async *released(source: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    for await (const chunk of source) {
      yield chunk;
      Promise.all(this.underway).then(() => release(chunk));
    }
  }

  /** Waits for everything, also where some of it fails. */
  async settle(): Promise<void> {
    while (this.underway.size > 0) await Promise.all(this.underway);
  }

  /** Throws the first failure. */
  check(): void {
    if (this.failure !== undefined) throw this.failure.error;
  }

  /** Never rejects. */
  private track(work: () => Promise<void>): Promise<void> {
    const tracked = work()
      .catch((error) => {
        this.failure ??= { error };
      })
      .finally(() => this.underway.delete(tracked));
    this.underway.add(tracked);
    return tracked;
  }
}
