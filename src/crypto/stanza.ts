import { createCipheriv, createDecipheriv } from "node:crypto";

/** What the stanzas of an age header (https://age-encryption.org/v1) have in common. */
const cipher = "chacha20-poly1305";
const tagSize = 16;
/** A wrapping key is used once, so its nonce may be constant. */
const nonce = Buffer.alloc(12);
export const fileKeySize = 16;

/** The file key under a wrapping key that serves for nothing else: 32 bytes. */
export function wrapKey(wrappingKey: Uint8Array, fileKey: Uint8Array): Buffer {
  const sealer = createCipheriv(cipher, wrappingKey, nonce, { authTagLength: tagSize });
  return Buffer.concat([sealer.update(fileKey), sealer.final(), sealer.getAuthTag()]);
}

/** Null where the wrapping key is not the right one. Throws where the body cannot be a wrapped file key. */
export function unwrapKey(wrappingKey: Uint8Array, body: Uint8Array): Buffer | null {
  if (body.length !== fileKeySize + tagSize) throw new Error("the body of a stanza has a wrong length");
  const opener = createDecipheriv(cipher, wrappingKey, nonce, { authTagLength: tagSize });
  opener.setAuthTag(body.subarray(fileKeySize));
  const fileKey = opener.update(body.subarray(0, fileKeySize));
  try {
    opener.final();
  } catch {
    return null;
  }
  return fileKey;
}

/** Standard base64 without padding, as age writes it. */
export function encodeBase64(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("base64").replace(/=+$/, "");
}

/** Throws where the text is not the one way to write exactly `size` bytes. */
export function decodeBase64(text: string, size: number): Buffer {
  const bytes = Buffer.from(text, "base64");
  if (bytes.length !== size || encodeBase64(bytes) !== text)
    throw new Error("a stanza's argument is not canonical");
  return bytes;
}
