import { createCipheriv, createDecipheriv } from "node:crypto";
import { OpsError } from "../core/errors.ts";
import { release } from "../storage/released.ts";

/**
 * The STREAM construction, as age uses it (https://age-encryption.org/v1, "Payload"): an AEAD over chunks of 64 KiB,
 * with a counter and a last-chunk flag as the nonce of each chunk, so that a chunk altered, dropped, moved or missing
 * at the end does not open. Memory is constant. A key must serve for one stream only.
 */
export type ChunkCipher = "chacha20-poly1305" | "aes-256-gcm";

const chunkSize = 64 * 1024;
const tagSize = 16;

/** @param key 32 bytes */
export async function* sealChunks(
  cipher: ChunkCipher,
  key: Buffer,
  source: AsyncIterable<Uint8Array>,
): AsyncGenerator<Buffer> {
  const counter = new ChunkCounter();
  const chunks = new Chunks(chunkSize);
  for await (const data of source) {
    const sealed: Buffer[] = [];
    // The last chunk carries a flag: one is sealed only when it is certain that another follows.
    for (const chunk of chunks.add(data, 1)) {
      sealed.push(...seal(cipher, key, counter.nonce("middle"), chunk));
      counter.advance();
    }
    if (sealed.length === 0) continue;
    const together = Buffer.concat(sealed);
    for (const each of sealed) release(each);
    yield together;
  }
  yield Buffer.concat(seal(cipher, key, counter.nonce("last"), chunks.left));
}

/** Yields only what is authentic. Throws `E_DECRYPT` at the first chunk that is not, and where the end is missing. */
export async function* openChunks(
  cipher: ChunkCipher,
  key: Buffer,
  source: AsyncIterable<Uint8Array>,
): AsyncGenerator<Buffer> {
  const counter = new ChunkCounter();
  const chunks = new Chunks(chunkSize + tagSize);
  let count = 0;
  let ended = false;
  const behindEnd = () => damaged("there is something behind its end");
  for await (const data of source) {
    for (const sealed of chunks.add(data, 0)) {
      if (ended) throw behindEnd();
      const middle = open(cipher, key, counter.nonce("middle"), sealed);
      // The last chunk may be as long as the others.
      const plaintext = middle ?? open(cipher, key, counter.nonce("last"), sealed);
      if (plaintext === undefined) throw damaged("a chunk is not authentic");
      count += 1;
      ended = middle === undefined;
      counter.advance();
      yield plaintext;
    }
    if (ended && chunks.left.length > 0) throw behindEnd();
  }
  if (ended) return;
  const { left } = chunks;
  if (left.length < tagSize) throw damaged("it ends too early");
  if (left.length === tagSize && count > 0) throw damaged("its last chunk is empty");
  const last = open(cipher, key, counter.nonce("last"), left);
  if (last === undefined) throw damaged("a chunk is not authentic, or the end is missing");
  yield last;
}

/** Cuts a stream into chunks of one size. Holds on to no piece of the stream: its memory may be used again. */
class Chunks {
  private readonly begun: Buffer;
  private used = 0;

  /** @param size bytes of a chunk */
  constructor(size: number) {
    this.begun = Buffer.allocUnsafeSlow(size);
  }

  /**
   * The chunks that are whole with this piece and have at least so many bytes behind them. Each is good until the next
   * one is asked for.
   */
  *add(data: Uint8Array, behind: 0 | 1): Generator<Buffer> {
    const { begun } = this;
    let rest = asBuffer(data);
    while (this.used + rest.length >= begun.length + behind) {
      const taken = begun.length - this.used;
      const isWhole = this.used === 0;
      if (!isWhole) rest.copy(begun, this.used, 0, taken);
      this.used = 0;
      const chunk = isWhole ? rest.subarray(0, taken) : begun;
      rest = rest.subarray(taken);
      yield chunk;
    }
    rest.copy(begun, this.used);
    this.used += rest.length;
  }

  /** What is not a whole chunk yet, or has nothing behind it. */
  get left(): Buffer {
    return this.begun.subarray(0, this.used);
  }
}

/** Eleven bytes of counter, one byte that is 1 for the last chunk. */
class ChunkCounter {
  private count = 0n;

  nonce(position: "middle" | "last"): Buffer {
    const nonce = Buffer.alloc(12);
    nonce.writeBigUInt64BE(this.count, 3);
    nonce[11] = position === "last" ? 1 : 0;
    return nonce;
  }

  advance(): void {
    this.count += 1n;
  }
}

function seal(
  cipher: ChunkCipher,
  key: Buffer,
  nonce: Buffer,
  plaintext: Uint8Array,
): [Buffer, Buffer, Buffer] {
  const sealer = newCipher(cipher, key, nonce);
  return [sealer.update(plaintext), sealer.final(), sealer.getAuthTag()];
}

/** Undefined where it is not authentic. */
function open(cipher: ChunkCipher, key: Buffer, nonce: Buffer, sealed: Buffer): Buffer | undefined {
  const opener = newDecipher(cipher, key, nonce);
  opener.setAuthTag(sealed.subarray(sealed.length - tagSize));
  const plaintext = opener.update(sealed.subarray(0, sealed.length - tagSize));
  try {
    opener.final();
  } catch {
    return undefined;
  }
  return plaintext;
}

/** Node's types tell the two ciphers apart, so each is named on its own. */
function newCipher(cipher: ChunkCipher, key: Buffer, nonce: Buffer) {
  return cipher === "aes-256-gcm"
    ? createCipheriv(cipher, key, nonce, { authTagLength: tagSize })
    : createCipheriv(cipher, key, nonce, { authTagLength: tagSize });
}

function newDecipher(cipher: ChunkCipher, key: Buffer, nonce: Buffer) {
  return cipher === "aes-256-gcm"
    ? createDecipheriv(cipher, key, nonce, { authTagLength: tagSize })
    : createDecipheriv(cipher, key, nonce, { authTagLength: tagSize });
}

function asBuffer(data: Uint8Array): Buffer {
  return Buffer.from(data.buffer, data.byteOffset, data.byteLength);
}

/** @param why one clause */
export function damaged(why: string, cause?: unknown): OpsError {
  return new OpsError("E_DECRYPT", `The encrypted data is damaged: ${why}`, { cause, retryable: false });
}
