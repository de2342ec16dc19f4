import { randomBytes } from "node:crypto";
import type { Decrypter } from "age-encryption";
import { unwrapFileKey, wrapFileKey } from "./age-header.ts";
import { ByteReader } from "./byte-reader.ts";
import { decrypterFor } from "./identity.ts";
import { decryptPayload, encryptPayload, payloadNonceSize } from "./payload.ts";
import type { AgeRecipients } from "./recipient.ts";
import type { EncryptionRecord, MethodOpener, Sealer } from "./sealer.ts";
import { fileKeySize } from "./stanza.ts";

/**
 * The age format (https://age-encryption.org/v1): what this writes, stock `age` opens, and the other way round.
 * The header (recipients, file key) is the age-encryption package's work; the payload runs on node:crypto, which is
 * five times as fast (docs/decisions/0003-backup-pipeline.md). Memory is constant. Every object is an age file of its
 * own, with a file key of its own.
 */
export class AgeSealer implements Sealer {
  readonly method = "age";
  readonly suffix = ".age";
  private readonly recipients: AgeRecipients;

  constructor(recipients: AgeRecipients) {
    this.recipients = recipients;
  }

  describe(): EncryptionRecord {
    const { method, recipients } = this;
    return { method, recipients: "passphrase" in recipients ? ["passphrase"] : [...recipients.publicKeys] };
  }

  /** Throws `E_RECIPIENT` where one of the recipients is not an age public key. */
  async *encrypt(source: AsyncIterable<Uint8Array>): AsyncGenerator<Buffer> {
    const fileKey = randomBytes(fileKeySize);
    yield await this.wrap(fileKey);
    yield* encryptPayload(fileKey, source);
  }

  wrap(key: Uint8Array): Promise<Buffer> {
    return wrapFileKey(key, this.recipients);
  }
}

export function ageOpener(decrypter: Decrypter): MethodOpener {
  return {
    unwrap: async (reader) => unwrapFileKey(decrypter, await reader.header()),
    decrypt: async function* (key, reader) {
      yield* decryptPayload(key, await reader.take(payloadNonceSize), reader.rest());
    },
  };
}

/** To public keys. Throws `E_RECIPIENT` where one of them is not an age public key. */
export function encrypt(
  source: AsyncIterable<Uint8Array>,
  recipients: readonly string[],
): AsyncGenerator<Buffer> {
  return new AgeSealer({ publicKeys: recipients }).encrypt(source);
}

/**
 * @param identity the text of an identity file: comments and one or more `AGE-SECRET-KEY-…` lines, or an SSH key
 *
 * Throws `E_IDENTITY` where no identity opens the file and `E_DECRYPT` where the file is damaged. What was yielded
 * before is authentic, but it is the whole only when the iteration ends without an error.
 */
export async function* decrypt(source: AsyncIterable<Uint8Array>, identity: string): AsyncGenerator<Buffer> {
  const opener = ageOpener(decrypterFor({ identity }));
  const reader = new ByteReader(source);
  try {
    yield* opener.decrypt(await opener.unwrap(reader), reader);
  } finally {
    await reader.close();
  }
}

/** A fresh file key and the header that wraps it for every recipient. Throws `E_RECIPIENT`. */
export async function newHeader(
  recipients: readonly string[],
): Promise<{ fileKey: Uint8Array; header: Buffer }> {
  const fileKey = randomBytes(fileKeySize);
  return { fileKey, header: await wrapFileKey(fileKey, { publicKeys: recipients }) };
}
