import { hkdfSync, randomBytes } from "node:crypto";
import { openChunks, sealChunks } from "./chunks.ts";

/**
 * The payload of an age file (https://age-encryption.org/v1, "Payload"): a 16-byte nonce, then ChaCha20-Poly1305 in
 * chunks, under a key that is derived from the file key and the nonce.
 */
export const payloadNonceSize = 16;
const cipher = "chacha20-poly1305";

export async function* encryptPayload(
  fileKey: Uint8Array,
  source: AsyncIterable<Uint8Array>,
): AsyncGenerator<Buffer> {
  const nonce = randomBytes(payloadNonceSize);
  const key = payloadKey(fileKey, nonce);
  yield nonce;
  yield* sealChunks(cipher, key, source);
}

/** Yields only what is authentic. Throws `E_DECRYPT` at the first chunk that is not, and where the end is missing. */
export function decryptPayload(
  fileKey: Uint8Array,
  nonce: Uint8Array,
  source: AsyncIterable<Uint8Array>,
): AsyncGenerator<Buffer> {
  return openChunks(cipher, payloadKey(fileKey, nonce), source);
}

function payloadKey(fileKey: Uint8Array, nonce: Uint8Array): Buffer {
  return Buffer.from(hkdfSync("sha256", fileKey, nonce, "payload", 32));
}
