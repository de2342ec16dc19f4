import { BufferCollection } from "../buffer-collection.ts";

/** Bytes that are held in memory for parts on their way; what is being filled comes on top. */
const inFlightBytes = 16 * 2 ** 20;

/** How many parts of that size may be on their way at once. */
export function parallelParts(partBytes: number): number {
  return Math.max(1, Math.min(4, Math.floor(inFlightBytes / partBytes)));
}

/** Cuts a stream into parts, each in a buffer of its own that is used again once it is released. */
export class PartBuffers {
  private readonly source: AsyncIterator<Uint8Array>;
  private readonly partBytes: number;
  private readonly free: Buffer[] = [];
  private readonly garbage = new BufferCollection();
  private rest: Uint8Array = new Uint8Array();

  constructor(source: AsyncIterable<Uint8Array>, partBytes: number) {
    this.source = source[Symbol.asyncIterator]();
    this.partBytes = partBytes;
  }

  /** The next part, full unless it is the last one; empty at the end. */
  async next(): Promise<Buffer> {
    const buffer = this.free.pop() ?? Buffer.allocUnsafeSlow(this.partBytes);
    let filled = 0;
    while (filled < buffer.length) {
      if (this.rest.length === 0) {
        const { done, value } = await this.source.next();
        if (done === true) break;
        this.rest = value;
        this.garbage.passed(value.length);
      }
      const taken = this.rest.subarray(0, buffer.length - filled);
      buffer.set(taken, filled);
      filled += taken.length;
      this.rest = this.rest.subarray(taken.length);
    }
    return buffer.subarray(0, filled);
  }

  /** The part's bytes are needed no more. */
  release(part: Buffer): void {
    this.free.push(Buffer.from(part.buffer));
  }

  /** Tells the source that nothing more will be read. */
  async close(): Promise<void> {
    await this.source.return?.();
  }
}
