import type { createZstdCompress, createZstdDecompress } from "node:zlib";
import { release } from "./released.ts";

type Stream = ReturnType<typeof createZstdCompress> | ReturnType<typeof createZstdDecompress>;

/**
 * Contexts of zstd that work at the same time and are used again for each frame. Node's one-shot functions make and
 * clear a context for each call, which costs some MB, and a collection of garbage every few frames.
 *
 * Shared by all streams of the process, so that many streams at once take no more memory than one.
 */
export class ZstdLanes {
  private readonly open: () => Stream;
  private readonly limit: number;
  private readonly outputSize: number | undefined;
  private readonly idle: Lane[] = [];
  private readonly waiting: ((lane: Lane) => void)[] = [];
  private lanes = 0;

  /**
   * @param limit how many contexts at most
   * @param outputSize the streams' `chunkSize`, where most frames have so many bytes: each of them is then a buffer of
   * its own, which its reader can release
   */
  constructor(open: () => Stream, limit: number, outputSize?: number) {
    this.open = open;
    this.limit = limit;
    this.outputSize = outputSize;
  }

  /**
   * One frame in, one frame out, in pieces that are the caller's to release. `input` must not change until it resolves. Rejects with zlib's error, and
   * with a RangeError where more than `maxOutput` bytes come out.
   */
  async run(input: Uint8Array, maxOutput: number): Promise<Buffer[]> {
    const lane = await this.take();
    try {
      return await lane.run(input, maxOutput);
    } finally {
      this.giveBack(lane);
    }
  }

  private take(): Promise<Lane> | Lane {
    const lane = this.idle.pop();
    if (lane !== undefined) return lane;
    if (this.lanes === this.limit) return new Promise((resolve) => this.waiting.push(resolve));
    this.lanes += 1;
    return this.newLane();
  }

  private newLane(): Lane {
    return new Lane(this.open(), this.outputSize === undefined);
  }

  /** One that failed is in the middle of a frame; one whose last frame was short, in the middle of a buffer. */
  private giveBack(used: Lane): void {
    const isAmidst = this.outputSize !== undefined && used.written % this.outputSize !== 0;
    if (isAmidst) used.close();
    const lane = used.isBroken || isAmidst ? this.newLane() : used;
    const next = this.waiting.shift();
    if (next === undefined) this.idle.push(lane);
    else next(lane);
  }
}

class Lane {
  isBroken = false;
  /** Bytes, of all frames. */
  written = 0;
  private readonly stream: Stream;
  private readonly shares: boolean;
  private output: Buffer | undefined;
  private pieces: Buffer[] = [];
  private room = 0;
  private fail: (error: Error) => void = () => undefined;

  /** @param shares whether several frames come in one of the stream's buffers */
  constructor(stream: Stream, shares: boolean) {
    this.stream = stream;
    this.shares = shares;
    stream.on("data", (piece: Buffer) => this.collect(piece));
    stream.on("error", (error) => this.break(error));
    // A decompressor ends by itself where the frame is shorter than its input.
    stream.on("end", () => this.break(new Error("there is something behind the frame")));
  }

  run(input: Uint8Array, maxOutput: number): Promise<Buffer[]> {
    return new Promise((resolve, reject) => {
      this.pieces = [];
      this.room = maxOutput;
      this.fail = reject;
      this.stream.write(input, (error) => {
        if (error) return reject(error);
        // What was not handed out yet goes through `collect`.
        while (this.stream.read() !== null);
        resolve(this.pieces);
      });
    });
  }

  close(): void {
    this.stream.destroy();
  }

  private collect(piece: Buffer): void {
    this.written += piece.length;
    this.room -= piece.length;
    if (this.room < 0) this.break(new RangeError("a frame is longer than it may be"));
    else this.pieces.push(this.shares ? this.copied(piece) : piece);
  }

  /** The stream goes on to the next buffer when one is full: then nobody needs the former. */
  private copied(piece: Buffer): Buffer {
    if (this.output !== undefined && this.output.buffer !== piece.buffer) release(this.output);
    this.output = Buffer.from(piece.buffer);
    const own = Buffer.allocUnsafeSlow(piece.length);
    piece.copy(own);
    return own;
  }

  private break(error: Error): void {
    this.isBroken = true;
    this.fail(error);
    this.stream.destroy();
  }
}
