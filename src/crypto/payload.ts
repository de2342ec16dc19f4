import { createCipheriv, createDecipheriv, hkdfSync, randomBytes } from "node:crypto";
import { OpsError } from "../core/errors.ts";

/**
 * The payload of an age file (https://age-encryption.org/v1, "Payload"): a 16-byte nonce, then STREAM, that is
 * ChaCha20-Poly1305 over chunks of 64 KiB, with a counter and a last-chunk flag as the nonce of each chunk, so
 * that a chunk altered, dropped, moved or missing at the end does not open.
 */
const algorithm = "chacha20-poly1305";
const chunkSize = 64 * 1024;
const tagSize = 16;
export const payloadNonceSize = 16;

export async function* encryptPayload(
  fileKey: Uint8Array,
  source: AsyncIterable<Uint8Array>,
): AsyncGenerator<Buffer> {
  const nonce = randomBytes(payloadNonceSize);
  const key = payloadKey(fileKey, nonce);
  const counter = new ChunkCounter();
  yield nonce;
  let pending: Buffer = Buffer.alloc(0);
  for await (const data of source) {
    pending = pending.length === 0 ? asBuffer(data) : Buffer.concat([pending, data]);
    // The last chunk carries a flag: one is sealed only when it is certain that another follows.
    const whole = Math.floor((pending.length - 1) / chunkSize);
    if (whole < 1) continue;
    const sealed: Buffer[] = [];
    for (let index = 0; index < whole; index += 1) {
      sealed.push(
        ...seal(key, counter.next("middle"), pending.subarray(index * chunkSize, (index + 1) * chunkSize)),
      );
    }
    pending = pending.subarray(whole * chunkSize);
    yield Buffer.concat(sealed);
  }
  yield Buffer.concat(seal(key, counter.next("last"), pending));
}

/** Yields only what is authentic. Throws `E_DECRYPT` at the first chunk that is not, and where the end is missing. */
export async function* decryptPayload(
  fileKey: Uint8Array,
  nonce: Uint8Array,
  source: AsyncIterable<Uint8Array>,
): AsyncGenerator<Buffer> {
  const key = payloadKey(fileKey, nonce);
  const counter = new ChunkCounter();
  const sealedSize = chunkSize + tagSize;
  let pending: Buffer = Buffer.alloc(0);
  let chunks = 0;
  for await (const data of source) {
    pending = pending.length === 0 ? asBuffer(data) : Buffer.concat([pending, data]);
    while (pending.length > sealedSize) {
      yield open(key, counter.next("middle"), pending.subarray(0, sealedSize));
      pending = pending.subarray(sealedSize);
      chunks += 1;
    }
  }
  if (pending.length < tagSize) throw damaged("it ends too early");
  const last = open(key, counter.next("last"), pending);
  if (last.length === 0 && chunks > 0) throw damaged("its last chunk is empty");
  yield last;
}

/** Eleven bytes of counter, one byte that is 1 for the last chunk. */
class ChunkCounter {
  private count = 0n;

  next(position: "middle" | "last"): Buffer {
    const nonce = Buffer.alloc(12);
    nonce.writeBigUInt64BE(this.count, 3);
    nonce[11] = position === "last" ? 1 : 0;
    this.count += 1n;
    return nonce;
  }
}

function payloadKey(fileKey: Uint8Array, nonce: Uint8Array): Buffer {
  return Buffer.from(hkdfSync("sha256", fileKey, nonce, "payload", 32));
}

function seal(key: Buffer, nonce: Buffer, plaintext: Uint8Array): [Buffer, Buffer, Buffer] {
  const cipher = createCipheriv(algorithm, key, nonce, { authTagLength: tagSize });
  return [cipher.update(plaintext), cipher.final(), cipher.getAuthTag()];
}

function open(key: Buffer, nonce: Buffer, sealed: Buffer): Buffer {
  const decipher = createDecipheriv(algorithm, key, nonce, { authTagLength: tagSize });
  decipher.setAuthTag(sealed.subarray(sealed.length - tagSize));
  const plaintext = decipher.update(sealed.subarray(0, sealed.length - tagSize));
  try {
    decipher.final();
  } catch {
    throw damaged("a chunk is not authentic");
  }
  return plaintext;
}

function asBuffer(data: Uint8Array): Buffer {
  return Buffer.from(data.buffer, data.byteOffset, data.byteLength);
}

function damaged(why: string): OpsError {
  return new OpsError("E_DECRYPT", `The encrypted data is damaged: ${why}`, { retryable: false });
}
