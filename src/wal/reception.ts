import { OpsError } from "../core/errors.ts";
import type { LogStream } from "../postgres/log-stream.ts";
import { type ArchiveStore, archiveFile } from "../wal-archive/archive-file.ts";
import type { ArchivedCluster } from "../wal-archive/cluster.ts";
import { removeLive, writeLivePart } from "../wal-archive/live-part.ts";
import { type Lsn, lsn } from "../wal-archive/lsn.ts";
import { headerBytes, readSegmentHeader } from "../wal-archive/segment-header.ts";
import { ReceivedLog, type ReceivedSegment } from "./received-log.ts";

/** Bytes of whole segments that wait in memory at most; then the server waits. At least one segment. */
const mostWaiting = 64 * 2 ** 20;

export interface ReceptionOptions {
  readonly cluster: ArchivedCluster;
  readonly stores: readonly ArchiveStore[];
  /** zstd level. */
  readonly compression: number;
  readonly timeline: number;
  /** Of a segment. */
  readonly start: Lsn;
  /** Milliseconds between two live parts. */
  readonly every: number;
  /** Called whenever more is durable. */
  readonly onDurable: (position: Lsn, archived: number) => void;
}

/**
 * Archives what one stream brings. Guarantee: the server hears that a position is durable only once everything before
 * it is in every store, in whole segments and the live parts of the last one. Segments are archived in their order, so
 * that no hole is ever left behind a lost server.
 */
export class Reception {
  private readonly stream: LogStream;
  private readonly options: ReceptionOptions;
  private readonly log: ReceivedLog;
  /** Everything before is in every store. */
  private durable: Lsn;
  private archived = 0;
  private ended = false;
  /** The server wants to hear at once how far we are. */
  private asked = false;
  private shippedAt = performance.now();
  private readonly shipper = new Bell();
  private readonly room = new Bell();

  constructor(stream: LogStream, options: ReceptionOptions) {
    this.stream = stream;
    this.options = options;
    this.log = new ReceivedLog(options.timeline, options.start, options.cluster.segmentBytes);
    this.durable = options.start;
  }

  /**
   * Resolves when the timeline ends or `stop` aborts, and all that came is archived. Where the connection breaks, what
   * had come is archived before that is thrown; where a store fails, that is thrown at once.
   */
  async run(stop: AbortSignal, signal: AbortSignal): Promise<void> {
    const finish = () => this.stream.finish();
    stop.addEventListener("abort", finish, { once: true });
    if (stop.aborted) finish();
    const reading = this.read();
    // It is thrown below; until then nobody waits for it.
    reading.catch(() => undefined);
    try {
      await this.ship(signal);
    } finally {
      stop.removeEventListener("abort", finish);
      this.ended = true;
      finish();
      this.room.ring();
    }
    await reading;
  }

  private async read(): Promise<void> {
    const { segmentBytes } = this.options.cluster;
    const most = Math.max(1, Math.floor(mostWaiting / segmentBytes));
    try {
      for await (const message of this.stream.messages()) {
        if (message.kind === "log") this.log.accept(lsn(message.at), message.bytes);
        else if (message.asks) this.asked = true;
        if (this.log.whole.length > 0 || this.asked) this.shipper.ring();
        while (this.log.whole.length >= most && !this.ended) await this.room.wait();
      }
    } finally {
      this.ended = true;
      this.shipper.ring();
    }
  }

  private async ship(signal: AbortSignal): Promise<void> {
    for (;;) {
      const [oldest] = this.log.whole;
      if (oldest !== undefined) {
        await this.archive(oldest, signal);
        this.log.whole.shift();
        this.room.ring();
        this.confirm(oldest.end);
        continue;
      }
      const isDue = this.ended || this.asked || this.left() <= 0;
      const part = isDue ? this.log.openPart(this.durable) : undefined;
      if (part !== undefined) {
        this.shippedAt = performance.now();
        const { database } = this.options.cluster;
        const { compression, stores } = this.options;
        const { file: segment, from, content } = part;
        await writeLivePart(stores, { database, segment, from, content, compression }, signal);
        this.confirm(part.end);
      } else if (this.asked) {
        this.asked = false;
        this.confirm(this.durable);
      } else if (this.ended) return;
      else await this.shipper.wait(isDue ? this.options.every : this.left());
    }
  }

  /** Milliseconds until the next live part. */
  private left(): number {
    return this.shippedAt + this.options.every - performance.now();
  }

  private async archive({ file, content }: ReceivedSegment, signal: AbortSignal): Promise<void> {
    const { cluster, stores, compression } = this.options;
    const { database, systemIdentifier } = cluster;
    const header = readSegmentHeader(file, content.subarray(0, headerBytes));
    if (header.systemIdentifier !== systemIdentifier) {
      throw new OpsError(
        "E_WAL_SEGMENT",
        `${file} is of the cluster ${header.systemIdentifier}, not ${systemIdentifier}`,
        { hint: "look where the database's URL leads", retryable: false },
      );
    }
    await archiveFile(stores, { database, file, content, compression }, signal);
    for (const { store } of stores) await removeLive(store, database, file);
    this.archived += 1;
  }

  private confirm(position: Lsn): void {
    if (position > this.durable) this.durable = position;
    this.stream.confirm(this.durable);
    this.options.onDurable(this.durable, this.archived);
  }
}

/** Wakes the one who waits. A ring that nobody waits for is kept for the next one. */
class Bell {
  private rung = false;
  private wake: (() => void) | undefined;

  ring(): void {
    this.rung = true;
    this.wake?.();
  }

  /** @param ms at most so long; default: until it rings */
  async wait(ms?: number): Promise<void> {
    if (!this.rung) {
      await new Promise<void>((resolve) => {
        const timer = ms === undefined ? undefined : setTimeout(resolve, ms);
        this.wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
    this.wake = undefined;
    this.rung = false;
  }
}
