import { z } from "zod";
import type { ByteReader } from "./byte-reader.ts";
import { bareRecipient } from "./recipient.ts";

/** How a backup's objects are encrypted, as its manifest tells it. Nothing in it is secret. */
export const encryptionSchema = z.discriminatedUnion("method", [
  z.strictObject({
    method: z.literal("age"),
    /** Public keys, as configured; `passphrase` for the passphrase. */
    recipients: z.array(z.string()),
  }),
  z.strictObject({
    method: z.literal("aes-256-gcm"),
    /** `key-file <id>` and `aws-kms <ARN>`: each of them opens it. */
    keys: z.array(z.string()),
  }),
]);

export type EncryptionRecord = z.output<typeof encryptionSchema>;
export type EncryptionMethod = EncryptionRecord["method"];

/** Encrypts the objects of one backup. */
export interface Sealer {
  readonly method: EncryptionMethod;
  /** The end of an object's name. */
  readonly suffix: ".age" | ".aes";
  /** Whole as soon as the sealer is there. */
  describe(): EncryptionRecord;
  /** One object; any number of them at the same time. Memory is constant. Each piece is the reader's own. */
  encrypt(source: AsyncIterable<Uint8Array>): AsyncGenerator<Buffer>;
  /** A header that wraps the key of an object of the same method for whom this sealer encrypts to. */
  wrap(key: Uint8Array): Promise<Buffer>;
}

/** Opens the objects of one method. */
export interface MethodOpener {
  /** Takes the header and returns the key in it. Throws `E_IDENTITY` or `E_DECRYPT`. */
  unwrap(reader: ByteReader): Promise<Uint8Array>;
  /** What stands behind the header. Yields only what is authentic; throws `E_DECRYPT`. */
  decrypt(key: Uint8Array, reader: ByteReader): AsyncGenerator<Buffer>;
}

/** Who opens it, in the words of the configuration: public keys without their comments, `passphrase`, wrapping keys. */
export function openedBy(record: EncryptionRecord): string[] {
  return record.method === "age" ? record.recipients.map(bareRecipient) : [...record.keys];
}

/** Whether both are opened by the same keys. One passphrase looks like another. */
export function sameKeys(one: EncryptionRecord, other: EncryptionRecord): boolean {
  const [a, b] = [new Set(openedBy(one)), new Set(openedBy(other))];
  return one.method === other.method && a.size === b.size && a.isSubsetOf(b);
}
