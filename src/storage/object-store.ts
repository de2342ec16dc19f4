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

/**
 * A place for objects: names with `/` between their parts, bytes that are written once and read as a stream.
 * Every method throws `E_STORE` (or `E_STORE_FULL`, `E_OBJECT_MISSING`) where the place does not let it work.
 */
export interface ObjectStore {
  /** For people: `file:/var/backups`. */
  readonly location: string;
  /**
   * Writes the stream to its end; only then does the object exist, whole and durable. Where the stream or the
   * writing fails, nothing is left. An object of that name is replaced, and so is what an earlier, killed `put` left.
   */
  put(
    name: string,
    body: AsyncIterable<Uint8Array>,
    options?: { readonly signal?: AbortSignal },
  ): Promise<Written>;
  /** Atomic and durable; false, and nothing changed, where the object exists already. For small objects. */
  putIfAbsent(name: string, body: Uint8Array): Promise<boolean>;
  /** Throws `E_OBJECT_MISSING` at the first read where there is none. */
  get(name: string): AsyncIterable<Uint8Array>;
  /** All objects whose names begin with the prefix, in the order of their names; never one that is half written. */
  list(prefix: string): AsyncIterable<StoredObject>;
  /** Also removes what a killed `put` of that name left. Not an error where there is nothing. */
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
