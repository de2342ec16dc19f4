import type { createZstdCompress, createZstdDecompress } from "node:zlib";

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
   * One frame in, one frame out, in pieces. `input` must not change until it resolves. Rejects with zlib's error, and
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
    return new Lane(this.open());
  }

  /** One that failed is in the middle of a frame; one whose last frame was short, in the middle of a buffer. */
  private giveBack(used: Lane): void {
    const isAmidst = this.outputSize !== undefined && used.written % this.outputSize !== 0;
    if (isAmidst) used.close();
    const lane = used.isBroken || isAmidst ? new Lane(this.open()) : used;
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
  private pieces: Buffer[] = [];
  private room = 0;
  private fail: (error: Error) => void = () => undefined;

  constructor(stream: Stream) {
    this.stream = stream;
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
    else this.pieces.push(piece);
  }

  private break(error: Error): void {
    this.isBroken = true;
    this.fail(error);
    this.stream.destroy();
  }
}
