import { createCipheriv, createDecipheriv } from "node:crypto";
import { OpsError } from "../core/errors.ts";

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
  let pending: Buffer = Buffer.alloc(0);
  for await (const data of source) {
    pending = pending.length === 0 ? asBuffer(data) : Buffer.concat([pending, data]);
    // The last chunk carries a flag: one is sealed only when it is certain that another follows.
    const whole = Math.floor((pending.length - 1) / chunkSize);
    if (whole < 1) continue;
    const sealed: Buffer[] = [];
    for (let index = 0; index < whole; index += 1) {
      const chunk = pending.subarray(index * chunkSize, (index + 1) * chunkSize);
      sealed.push(...seal(cipher, key, counter.nonce("middle"), chunk));
      counter.advance();
    }
    pending = pending.subarray(whole * chunkSize);
    yield Buffer.concat(sealed);
  }
  yield Buffer.concat(seal(cipher, key, counter.nonce("last"), pending));
}

/** Yields only what is authentic. Throws `E_DECRYPT` at the first chunk that is not, and where the end is missing. */
export async function* openChunks(
  cipher: ChunkCipher,
  key: Buffer,
  source: AsyncIterable<Uint8Array>,
): AsyncGenerator<Buffer> {
  const counter = new ChunkCounter();
  const sealedSize = chunkSize + tagSize;
  let pending: Buffer = Buffer.alloc(0);
  let chunks = 0;
  let ended = false;
  for await (const data of source) {
    pending = pending.length === 0 ? asBuffer(data) : Buffer.concat([pending, data]);
    while (pending.length >= sealedSize && !ended) {
      const sealed = pending.subarray(0, sealedSize);
      const middle = open(cipher, key, counter.nonce("middle"), sealed);
      // The last chunk may be as long as the others.
      const plaintext = middle ?? open(cipher, key, counter.nonce("last"), sealed);
      if (plaintext === undefined) throw damaged("a chunk is not authentic");
      yield plaintext;
      pending = pending.subarray(sealedSize);
      chunks += 1;
      ended = middle === undefined;
      counter.advance();
    }
    if (ended && pending.length > 0) throw damaged("there is something behind its end");
  }
  if (ended) return;
  if (pending.length < tagSize) throw damaged("it ends too early");
  if (pending.length === tagSize && chunks > 0) throw damaged("its last chunk is empty");
  const last = open(cipher, key, counter.nonce("last"), pending);
  if (last === undefined) throw damaged("a chunk is not authentic, or the end is missing");
  yield last;
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
