import { BufferCollection } from "../storage/buffer-collection.ts";
import type { ObjectStore, Written } from "../storage/object-store.ts";
import { release } from "../storage/released.ts";

/** A store by its name in the configuration. */
export interface NamedStore {
  readonly name: string;
  readonly store: ObjectStore;
}

/**
 * Writes each object to several stores at once, from one stream. The slowest store sets the pace. A store that fails
 * is left out from then on, and the others go on; `failures` says why.
 */
export class FanOut {
  /** By the store's name. */
  readonly failures = new Map<string, unknown>();
  private readonly stores: readonly NamedStore[];

  constructor(stores: readonly NamedStore[]) {
    this.stores = stores;
  }

  /** The stores that have not failed. */
  remaining(): NamedStore[] {
    return this.stores.filter((each) => !this.failures.has(each.name));
  }

  /**
   * The memory of `body`'s pieces is given back as soon as every store has them. Throws what `body` throws, and, once no store is left, what the first of them failed with.
   */
  async put(name: string, body: AsyncIterable<Uint8Array>, signal: AbortSignal): Promise<Written> {
    const ways = this.remaining().map((each) => ({ each, feed: new Feed() }));
    const writes = ways.map(async ({ each, feed }) => {
      try {
        return await each.store.put(name, feed.stream(), { signal });
      } catch (error) {
        // Where the source failed or the work was given up, no store is to blame.
        if (!feed.hasFailed && !signal.aborted) this.failures.set(each.name, error);
        return undefined;
      } finally {
        feed.abandon();
      }
    });
    const memory = new BufferCollection();
    try {
      for await (const chunk of body) {
        signal.throwIfAborted();
        memory.passed(chunk.length);
        const shared = new Shared(chunk, ways.length);
        await Promise.all(ways.map(({ feed }) => feed.push(shared)));
        if (ways.every(({ feed }) => feed.isAbandoned)) break;
      }
      for (const { feed } of ways) feed.end();
    } catch (error) {
      for (const { feed } of ways) feed.fail(error);
      await Promise.all(writes);
      throw error;
    }
    const written = (await Promise.all(writes)).find((each) => each !== undefined);
    signal.throwIfAborted();
    if (written === undefined) throw this.firstFailure();
    return written;
  }

  /** Does the same small thing to every store that is left. */
  async each(work: (store: NamedStore) => Promise<void>): Promise<void> {
    await Promise.all(
      this.remaining().map(async (each) => {
        try {
          await work(each);
        } catch (error) {
          this.failures.set(each.name, error);
        }
      }),
    );
    if (this.remaining().length === 0) throw this.firstFailure();
  }

  private firstFailure(): unknown {
    return [...this.failures.values()][0];
  }
}

/** A chunk on its way to several readers. Where one of them has given up, it is left to V8. */
class Shared {
  readonly bytes: Uint8Array;
  private readers: number;

  constructor(bytes: Uint8Array, readers: number) {
    this.bytes = bytes;
    this.readers = readers;
  }

  /** One of the readers is done with it. */
  passed(): void {
    this.readers -= 1;
    if (this.readers === 0) release(this.bytes);
  }
}

/** Chunks that wait for one reader. */
const depth = 4;

class Feed {
  isAbandoned = false;
  hasFailed = false;
  private readonly chunks: Shared[] = [];
  private hasEnded = false;
  private error: unknown;
  private wakeReader: () => void = () => undefined;
  private wakeWriter: () => void = () => undefined;

  /** Resolves when there is room for the next one. */
  async push(chunk: Shared): Promise<void> {
    if (this.isAbandoned) return;
    this.chunks.push(chunk);
    this.wakeReader();
    while (this.chunks.length >= depth && !this.isAbandoned) {
      await new Promise<void>((resolve) => {
        this.wakeWriter = resolve;
      });
    }
  }

  end(): void {
    this.hasEnded = true;
    this.wakeReader();
  }

  fail(error: unknown): void {
    this.hasFailed = true;
    this.error = error;
    this.wakeReader();
  }

  /** Nobody reads any more. */
  abandon(): void {
    this.isAbandoned = true;
    this.chunks.length = 0;
    this.wakeWriter();
  }

  async *stream(): AsyncGenerator<Uint8Array> {
    for (;;) {
      if (this.hasFailed) throw this.error;
      const chunk = this.chunks.shift();
      if (chunk !== undefined) {
        this.wakeWriter();
        yield chunk.bytes;
        chunk.passed();
      } else if (this.hasEnded) return;
      else {
        await new Promise<void>((resolve) => {
          this.wakeReader = resolve;
        });
      }
    }
  }
}
