import { createCipheriv, createDecipheriv, createHmac, randomBytes } from "node:crypto";
import { UsageError } from "../core/errors.ts";

/** What wraps the data key of a backup: 32 bytes that encrypt nothing else. */
export const dataKeySize = 32;
const nonceSize = 12;
const tagSize = 16;

/** A data key as it stands in a header, wrapped by one wrapping key: a line `kind key base64`. */
export interface WrappedKey {
  readonly kind: "key-file" | "aws-kms";
  /** Which wrapping key: the id of a key file, or the ARN of a KMS key. */
  readonly key: string;
  readonly wrapped: Buffer;
}

/** A key of a key file. */
export interface FileKey {
  /** 16 hexadecimal digits that say which key it is and nothing about it. */
  readonly id: string;
  readonly key: Buffer;
}

/**
 * The keys of a key file: a line each, 32 bytes in hexadecimal or base64; comments begin with `#`. Throws
 * `E_ENCRYPTION_KEY`, never with a part of the text, where one is something else and where there is none.
 */
export function parseKeyFile(text: string): readonly [FileKey, ...FileKey[]] {
  const [first, ...others] = text
    .split(/\r?\n/)
    .map((line) => line.trim())
    .filter((line) => line !== "" && !line.startsWith("#"))
    .map(parseKey);
  if (first === undefined) throw unreadable();
  return [first, ...others];
}

function parseKey(line: string): FileKey {
  const key = /^[0-9a-f]{64}$/i.test(line) ? Buffer.from(line, "hex") : Buffer.from(line, "base64");
  if (key.length !== dataKeySize || !/^([0-9a-f]{64}|[A-Za-z0-9+/]{43}=?)$/i.test(line)) throw unreadable();
  return {
    id: createHmac("sha256", key).update("ops-aes-256-gcm/v1 key id").digest("hex").slice(0, 16),
    key,
  };
}

/** AES-256-GCM under a random nonce: nonce, ciphertext, tag. */
export function wrapWithFile({ id, key }: FileKey, dataKey: Uint8Array): WrappedKey {
  const nonce = randomBytes(nonceSize);
  const cipher = createCipheriv("aes-256-gcm", key, nonce, { authTagLength: tagSize });
  const wrapped = Buffer.concat([nonce, cipher.update(dataKey), cipher.final(), cipher.getAuthTag()]);
  return { kind: "key-file", key: id, wrapped };
}

/** Undefined where it is not authentic. */
export function unwrapWithFile({ key }: FileKey, { wrapped }: WrappedKey): Buffer | undefined {
  if (wrapped.length !== nonceSize + dataKeySize + tagSize) return undefined;
  const opener = createDecipheriv("aes-256-gcm", key, wrapped.subarray(0, nonceSize), {
    authTagLength: tagSize,
  });
  opener.setAuthTag(wrapped.subarray(nonceSize + dataKeySize));
  const dataKey = opener.update(wrapped.subarray(nonceSize, nonceSize + dataKeySize));
  try {
    opener.final();
  } catch {
    return undefined;
  }
  return dataKey;
}

function unreadable(): UsageError {
  return new UsageError("E_ENCRYPTION_KEY", "The encryption key is not 32 bytes in hexadecimal or base64", {
    hint: "make one with: openssl rand -base64 32",
  });
}
