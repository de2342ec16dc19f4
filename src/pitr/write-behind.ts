import { closeSync, fdatasync, write, writeSync } from "node:fs";
import { promisify } from "node:util";
import { release } from "../storage/released.ts";

const writePiece = promisify(write);
const syncData = promisify(fdatasync);
/** Smaller pieces are written at once: a call that waits costs them less than the way to the thread pool and back. */
const large = 64 * 1024;
/** Bytes that are on their way to files at most. */
const most = 4 * 2 ** 20;
/** Bytes after which the file that is being written is sent on to the disk, and how large a whole one must be for it. */
const sendEvery = 32 * 2 ** 20;
const worthSending = 2 ** 20;

/** A file that is being written. Closed by `finish`, once all of its pieces are written. */
export interface WrittenFile {
  readonly file: number;
  position: number;
  readonly pieces: Promise<void>[];
}

/**
 * Writes large pieces while the next ones are read, decompressed and compared, those of several files at a time. Memory
 * is constant. The first failure is thrown by the next call.
 *
 * Large files are sent on to the disk meanwhile, one at a time: there is little left then for who syncs it all in the end,
 * which must be done all the same.
 */
export class WriteBehind {
  private readonly underway = new Set<Promise<void>>();
  /** Files that are sent on, and closed: no piece's memory is kept for it. */
  private readonly ending = new Set<Promise<void>>();
  private bytes = 0;
  /** Bytes that came since a file was last sent on. */
  private unsent = 0;
  private isSending = false;
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
    this.unsent += piece.length;
    const sent = this.unsent < sendEvery ? undefined : this.sendOn(to);
    if (sent !== undefined) to.pieces.push(sent);
    while (this.bytes > most) await Promise.race(this.underway);
    this.check();
  }

  /** All of the file's pieces were given. */
  finish(to: WrittenFile): void {
    const end = async () => {
      await Promise.all(to.pieces);
      if (to.position >= worthSending) await this.sendOn(to);
      closeSync(to.file);
    };
    if (to.pieces.length === 0) closeSync(to.file);
    else this.track(end, this.ending);
  }

  /** What is written of it by now. Undefined, and nothing, where another file is on its way. */
  private sendOn({ file }: WrittenFile): Promise<void> | undefined {
    if (this.isSending) return undefined;
    this.isSending = true;
    this.unsent = 0;
    const sent = async () => {
      try {
        await syncData(file);
      } finally {
        this.isSending = false;
      }
    };
    return this.track(sent, this.ending);
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
    while (this.underway.size + this.ending.size > 0) await Promise.all([...this.underway, ...this.ending]);
  }

  /** Throws the first failure. */
  check(): void {
    if (this.failure !== undefined) throw this.failure.error;
  }

  /** Never rejects. */
  private track(work: () => Promise<void>, among = this.underway): Promise<void> {
    const tracked = work()
      .catch((error) => {
        this.failure ??= { error };
      })
      .finally(() => among.delete(tracked));
    among.add(tracked);
    return tracked;
  }
}
