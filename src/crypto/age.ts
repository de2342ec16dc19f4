import { randomBytes } from "node:crypto";
import type { Decrypter } from "age-encryption";
import { unwrapFileKey, wrapFileKey } from "./age-header.ts";
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
