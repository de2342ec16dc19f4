import { setTimeout as delay } from "node:timers/promises";
import type {
  ObjectStore,
  ReadOptions,
  StoredObject,
  UnfinishedWrite,
  WriteOptions,
  Written,
} from "./object-store.ts";

/**
 * A store that moves at most so many bytes in each second, on the average and over all that is read through it at once;
 * the same again for what is written. Small objects pass at once, but count.
 */
export class LimitedStore implements ObjectStore {
  readonly location: string;
  private readonly store: ObjectStore;
  private readonly writing: Pace;
  private readonly reading: Pace;

  /** @param bandwidth bytes for each second */
  constructor(store: ObjectStore, bandwidth: number) {
    this.store = store;
    this.location = store.location;
    this.writing = new Pace(bandwidth);
    this.reading = new Pace(bandwidth);
  }

  put(name: string, body: AsyncIterable<Uint8Array>, options: WriteOptions = {}): Promise<Written> {
    return this.store.put(name, this.writing.through(body, options.signal), options);
  }

  putIfAbsent(name: string, body: Uint8Array, options?: WriteOptions): Promise<boolean> {
    this.writing.take(body.length);
    return this.store.putIfAbsent(name, body, options);
  }

  replace(name: string, body: Uint8Array, options?: WriteOptions): Promise<void> {
    this.writing.take(body.length);
    return this.store.replace(name, body, options);
  }

  get(name: string, options: ReadOptions = {}): AsyncIterable<Uint8Array> {
    return this.reading.through(this.store.get(name, options), options.signal);
  }

  list(prefix: string): AsyncIterable<StoredObject> {
    return this.store.list(prefix);
  }

  unfinished(prefix: string): AsyncIterable<UnfinishedWrite> {
    return this.store.unfinished(prefix);
  }

  delete(name: string): Promise<void> {
    return this.store.delete(name);
  }
}

/** Bytes in the order in which they are asked for, each when the ones before have had their time. */
class Pace {
  private readonly bytesPerMs: number;
  /** When everything that was let through so far has had its time; milliseconds of a clock that only runs forward. */
  private paidUntil = 0;

  constructor(bytesPerSecond: number) {
    this.bytesPerMs = bytesPerSecond / 1000;
  }

  /** Milliseconds to wait before these bytes may move. */
  take(bytes: number): number {
    const now = performance.now();
    const begin = Math.max(now, this.paidUntil);
    this.paidUntil = begin + bytes / this.bytesPerMs;
    return this.paidUntil - now;
  }

  async *through(source: AsyncIterable<Uint8Array>, signal?: AbortSignal): AsyncGenerator<Uint8Array> {
    for await (const chunk of source) {
      await this.wait(this.take(chunk.length), signal);
      yield chunk;
    }
  }

  private async wait(ms: number, signal: AbortSignal | undefined): Promise<void> {
    if (ms < 1) return;
    try {
      await delay(ms, undefined, signal === undefined ? {} : { signal });
    } catch (error) {
      signal?.throwIfAborted();
      throw error;
    }
  }
}
