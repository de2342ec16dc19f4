import { OpsError } from "../core/errors.ts";
import { formatLsn, type Lsn, lsn } from "../wal-archive/lsn.ts";
import { endOf, next, ofLsn, type Segment, segmentName, startOf } from "../wal-archive/segment.ts";

/** A segment that came whole. */
export interface ReceivedSegment {
  readonly file: string;
  readonly content: Buffer;
  readonly start: Lsn;
  readonly end: Lsn;
}

/** Some bytes of a segment that is not whole yet. */
export interface ReceivedPart {
  readonly file: string;
  /** Position in the segment of the first byte. */
  readonly from: number;
  readonly content: Buffer;
  /** Behind the last byte. */
  readonly end: Lsn;
}

/** The log of one timeline, cut into segments as it comes. In memory only. */
export class ReceivedLog {
  /** What is whole, oldest first; who has archived one removes it. */
  readonly whole: ReceivedSegment[] = [];
  private readonly size: number;
  private segment: Segment;
  private content: Buffer;
  private filled = 0;

  /** @param start of a segment */
  constructor(timeline: number, start: Lsn, size: number) {
    this.size = size;
    this.segment = ofLsn(timeline, start, size);
    this.content = Buffer.alloc(size);
  }

  /** Behind the last byte that came. */
  get position(): Lsn {
    return lsn(startOf(this.segment, this.size) + BigInt(this.filled));
  }

  /** Where the segment begins that is not whole. */
  get openSince(): Lsn {
    return startOf(this.segment, this.size);
  }

  /** Throws `E_CONNECTION_LOST` where it is not what follows. */
  accept(at: Lsn, bytes: Buffer): void {
    if (at !== this.position) {
      throw new OpsError(
        "E_CONNECTION_LOST",
        `The server sent its log from ${formatLsn(at)} on instead of ${formatLsn(this.position)}`,
      );
    }
    for (let done = 0; done < bytes.length; ) {
      const copied = bytes.copy(this.content, this.filled, done);
      done += copied;
      this.filled += copied;
      if (this.filled === this.size) this.close();
    }
  }

  /** What of the open segment lies behind the position; a copy. Undefined where nothing does. */
  openPart(after: Lsn): ReceivedPart | undefined {
    const from = after > this.openSince ? Number(after - this.openSince) : 0;
    if (from >= this.filled) return undefined;
    const file = segmentName(this.segment, this.size);
    return { file, from, content: Buffer.from(this.content.subarray(from, this.filled)), end: this.position };
  }

  private close(): void {
    const { segment, size, content } = this;
    const [start, end] = [startOf(segment, size), endOf(segment, size)];
    this.whole.push({ file: segmentName(segment, size), content, start, end });
    this.segment = next(segment);
    this.content = Buffer.alloc(size);
    this.filled = 0;
  }
}
