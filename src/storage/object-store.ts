import { createHash } from "node:crypto";

export interface StoredObject {
  readonly name: string;
  readonly bytes: number;
}

/** What was written: its size and the SHA-256 of its bytes, 64 hexadecimal digits. */
export interface Written {
  readonly bytes: number;
  readonly sha256: string;
}

export interface ReadOptions {
  /** The first byte, counted from 0. Default: 0. */
  readonly start?: number;
  /** The byte after the last one. Default, and where the object is shorter: its end. */
  readonly end?: number;
  readonly signal?: AbortSignal;
}

export interface WriteOptions {
  readonly signal?: AbortSignal;
  /**
   * Until when nobody may delete the object; instead of the store's own retention. Throws `E_OBJECT_LOCK` where the
   * store cannot hold it.
   */
  readonly retainUntil?: Date;
}

/** What a `put` that is under way, or was killed, holds in the store. */
export interface UnfinishedWrite {
  /** The object it was to become. */
  readonly name: string;
  readonly startedAt: Date;
  /** Ends it and frees its bytes; a `put` that was still under way fails. Not an error where it is gone already. */
  remove(): Promise<void>;
}

/**
 * A place for objects: names with `/` between their parts, bytes that are written once and read as a stream.
 * Every method throws `E_STORE…` (or `E_OBJECT_MISSING`) where the place does not let it work; a signal's reason where
 * it was aborted.
 */
export interface ObjectStore {
  /** For people: `file:/var/backups`, `s3://bucket/prefix`. */
  readonly location: string;
  /**
   * Writes the stream to its end; only then does the object exist, whole and durable. Where the stream or the
   * writing fails, nothing is left. An object of that name is replaced.
   */
  put(name: string, body: AsyncIterable<Uint8Array>, options?: WriteOptions): Promise<Written>;
  /** Atomic and durable; false, and nothing changed, where the object exists already. For small objects. */
  putIfAbsent(name: string, body: Uint8Array, options?: WriteOptions): Promise<boolean>;
  /** Atomic and durable: a reader sees the old object or the new one, whole. For small objects. */
  replace(name: string, body: Uint8Array, options?: WriteOptions): Promise<void>;
  /** Throws `E_OBJECT_MISSING` at the first read where there is none, `E_OBJECT_CHANGED` where it is replaced meanwhile. */
  get(name: string, options?: ReadOptions): AsyncIterable<Uint8Array>;
  /** All objects whose names begin with the prefix, in the order of their names; never one that is half written. */
  list(prefix: string): AsyncIterable<StoredObject>;
  /** What unfinished writes of names that begin with the prefix hold: those under way and those that were killed. */
  unfinished(prefix: string): AsyncIterable<UnfinishedWrite>;
  /**
   * Also removes what unfinished writes of that name left. Not an error where there is nothing. Throws
   * `E_OBJECT_LOCKED` where its retention has not ended.
   */
  delete(name: string): Promise<void>;
}

/** A small object, whole. */
export async function readObject(store: ObjectStore, name: string): Promise<Buffer> {
  const parts: Uint8Array[] = [];
  for await (const part of store.get(name)) parts.push(part);
  return Buffer.concat(parts);
}

/** Counts and hashes what flows through, unchanged. */
export class Measured {
  bytes = 0;
  private readonly hash = createHash("sha256");

  async *through(source: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    for await (const chunk of source) {
      this.bytes += chunk.length;
      this.hash.update(chunk);
      yield chunk;
    }
  }

  /** Ends the measurement; may be called once. */
  finish(): Written {
    return { bytes: this.bytes, sha256: this.hash.digest("hex") };
  }
}
