import { damaged } from "./chunks.ts";

/** Takes the beginning of a stream apart (a header, a nonce) and leaves the rest of it as it is. */
export class ByteReader {
  private readonly iterator: AsyncIterator<Uint8Array>;
  private pending: Buffer = Buffer.alloc(0);

  constructor(source: AsyncIterable<Uint8Array>) {
    this.iterator = source[Symbol.asyncIterator]();
  }

  /** The next bytes without taking them; fewer where the stream ends before. */
  async peek(size: number): Promise<Buffer> {
    while (this.pending.length < size && (await this.more())) {
      // Until there are enough, or no more.
    }
    return this.pending.subarray(0, size);
  }

  /** Throws `E_DECRYPT` where the stream ends before. */
  async take(size: number): Promise<Buffer> {
    if ((await this.peek(size)).length < size) throw damaged("it ends too early");
    const taken = this.pending.subarray(0, size);
    this.pending = this.pending.subarray(size);
    return taken;
  }

  /**
   * A textual header: all lines up to and with the first that begins with `---`. Throws `E_DECRYPT` where there is no
   * such line in the first MiB.
   */
  async header(): Promise<Buffer> {
    const limit = 1024 * 1024;
    for (;;) {
      const footer = this.pending.indexOf("\n---");
      const end = footer === -1 ? -1 : this.pending.indexOf("\n", footer + 1);
      if (end !== -1) return this.take(end + 1);
      if (this.pending.length > limit || !(await this.more())) throw damaged("it has no header");
    }
  }

  async *rest(): AsyncGenerator<Uint8Array> {
    if (this.pending.length > 0) yield this.pending;
    for (let next = await this.iterator.next(); next.done !== true; next = await this.iterator.next()) {
      yield next.value;
    }
  }

  /** Gives the source up, wherever it is. */
  async close(): Promise<void> {
    await this.iterator.return?.();
  }

  private async more(): Promise<boolean> {
    const next = await this.iterator.next();
    if (next.done === true) return false;
    this.pending = Buffer.concat([this.pending, next.value]);
    return true;
  }
}
