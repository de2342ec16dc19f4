import { createHmac, hkdfSync, randomBytes, timingSafeEqual } from "node:crypto";
import type { ByteReader } from "./byte-reader.ts";
import { damaged, openChunks, sealChunks } from "./chunks.ts";
import type { WrappedKey } from "./data-key.ts";

/**
 * The container for policies that name AES-256, written down in docs/formats/aes-256-gcm.md: a textual header with the
 * data key, wrapped by one or more wrapping keys, then chunks of AES-256-GCM under a key of the object's own.
 */
export const aesMagic = "ops-aes-256-gcm/v1\n";
const saltSize = 32;

/** Many objects may have one data key: each takes a random salt and so a key of its own. */
export async function* encryptAes(
  dataKey: Uint8Array,
  header: Buffer,
  source: AsyncIterable<Uint8Array>,
): AsyncGenerator<Buffer> {
  const salt = randomBytes(saltSize);
  const key = derive(dataKey, salt, "payload");
  yield header;
  yield salt;
  yield* sealChunks("aes-256-gcm", key, source);
}

/** What stands behind the header, opened. Throws `E_DECRYPT` where it is not what was written. */
export async function* decryptAesPayload(dataKey: Uint8Array, reader: ByteReader): AsyncGenerator<Buffer> {
  const salt = await reader.take(saltSize);
  yield* openChunks("aes-256-gcm", derive(dataKey, salt, "payload"), reader.rest());
}

export function encodeAesHeader(dataKey: Uint8Array, keys: readonly WrappedKey[]): Buffer {
  const lines = keys.map(({ kind, key, wrapped }) => `${kind} ${key} ${wrapped.toString("base64")}\n`);
  const text = `${aesMagic}${lines.join("")}---`;
  return Buffer.from(`${text} ${headerMac(dataKey, text).toString("base64")}\n`);
}

export interface AesHeader {
  readonly keys: readonly WrappedKey[];
  /** Everything up to and with `---`. */
  readonly text: string;
  readonly mac: Buffer;
}

/** Throws `E_DECRYPT` where it is not a header. */
export function parseAesHeader(bytes: Buffer): AesHeader {
  const [, lines = "", mac = ""] =
    /^ops-aes-256-gcm\/v1\n((?:\S+ \S+ \S+\n)+)--- ([A-Za-z0-9+/]{43}=)\n$/.exec(bytes.toString("latin1")) ??
    [];
  if (lines === "") throw damaged("its header is not one");
  const keys = lines.trimEnd().split("\n").map(parseLine);
  return { keys, text: `${aesMagic}${lines}---`, mac: Buffer.from(mac, "base64") };
}

/** Throws `E_DECRYPT` where the header is not the one that was written for this data key. */
export function authenticateAesHeader(dataKey: Uint8Array, { text, mac }: AesHeader): void {
  if (!timingSafeEqual(headerMac(dataKey, text), mac)) throw damaged("its header is not authentic");
}

function parseLine(line: string): WrappedKey {
  const [kind = "", key = "", base64 = ""] = line.split(" ");
  const wrapped = Buffer.from(base64, "base64");
  if ((kind !== "key-file" && kind !== "aws-kms") || wrapped.toString("base64") !== base64) {
    throw damaged("its header is not one");
  }
  return { kind, key, wrapped };
}

function headerMac(dataKey: Uint8Array, text: string): Buffer {
  return createHmac("sha256", derive(dataKey, Buffer.alloc(0), "header"))
    .update(text, "latin1")
    .digest();
}

function derive(dataKey: Uint8Array, salt: Buffer, use: "payload" | "header"): Buffer {
  return Buffer.from(hkdfSync("sha256", dataKey, salt, `ops-aes-256-gcm/v1 ${use}`, 32));
}
