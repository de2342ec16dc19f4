import { Decrypter, Encrypter } from "age-encryption";
import { OpsError, UsageError } from "../core/errors.ts";
import { decryptPayload, encryptPayload, payloadNonceSize } from "./payload.ts";

/**
 * The age format (https://age-encryption.org/v1): what this writes, stock `age` opens, and the other way round.
 * The header (recipients, file key) is the age-encryption package's work; the payload runs on node:crypto, which is
 * five times as fast (docs/decisions/0003-backup-pipeline.md). Memory is constant.
 */
export async function* encrypt(
  source: AsyncIterable<Uint8Array>,
  recipients: readonly string[],
): AsyncGenerator<Buffer> {
  const { fileKey, header } = await newHeader(recipients);
  yield header;
  yield* encryptPayload(fileKey, source);
}

/**
 * @param identity the text of an identity file: comments and one or more `AGE-SECRET-KEY-…` lines
 *
 * Throws `E_IDENTITY` where no key in it opens the file and `E_DECRYPT` where the file is damaged. What was yielded
 * before is authentic, but it is the whole only when the iteration ends without an error.
 */
export async function* decrypt(source: AsyncIterable<Uint8Array>, identity: string): AsyncGenerator<Buffer> {
  const decrypter = decrypterFor(identity);
  const reader = new HeaderReader(source);
  try {
    const header = await reader.header();
    const nonce = await reader.take(payloadNonceSize);
    yield* decryptPayload(await openHeader(decrypter, header), nonce, reader.rest());
  } finally {
    await reader.close();
  }
}

/** Throws `E_RECIPIENT` where one of them is not an age public key. */
function encrypterFor(recipients: readonly string[]): Encrypter {
  const encrypter = new Encrypter();
  for (const recipient of recipients) {
    try {
      encrypter.addRecipient(recipient);
    } catch (error) {
      throw new UsageError("E_RECIPIENT", `"${recipient}" is not an age public key`, {
        cause: error,
        hint: "make a key pair with: age-keygen",
      });
    }
  }
  return encrypter;
}

/** A fresh file key and the header that wraps it for every recipient. Throws `E_RECIPIENT`. */
export async function newHeader(
  recipients: readonly string[],
): Promise<{ fileKey: Uint8Array; header: Buffer }> {
  if (recipients.length === 0) {
    throw new UsageError("E_RECIPIENT", "There is no age public key to encrypt to", {
      hint: 'add one under "recipients:" of the store in .opsrc; make a key pair with: age-keygen',
    });
  }
  const encrypter = encrypterFor(recipients);
  // A recipient that writes no stanza of its own, and so learns the file key of an otherwise ordinary header.
  let fileKey: Uint8Array | undefined;
  encrypter.addRecipient({
    wrapFileKey: (key) => {
      fileKey = Uint8Array.from(key);
      return [];
    },
  });
  const emptyFile = await encrypter.encrypt(new Uint8Array(0));
  if (fileKey === undefined) throw new Error("age-encryption made a file without asking its recipients");
  const emptyPayload = payloadNonceSize + 16;
  return { fileKey, header: Buffer.from(emptyFile.subarray(0, emptyFile.length - emptyPayload)) };
}

function decrypterFor(identity: string): Decrypter {
  const keys = identity
    .split(/\r?\n/)
    .map((line) => line.trim())
    .filter((line) => line !== "" && !line.startsWith("#"));
  const decrypter = new Decrypter();
  try {
    if (keys.length === 0) throw new Error("it holds no key");
    for (const key of keys) decrypter.addIdentity(key);
  } catch {
    // The package's message may quote the key.
    throw new UsageError("E_IDENTITY", "The identity is not an age private key", {
      hint: 'it is a file made by age-keygen, with a line that begins with "AGE-SECRET-KEY-1"',
    });
  }
  return decrypter;
}

async function openHeader(decrypter: Decrypter, header: Buffer): Promise<Uint8Array> {
  try {
    return await decrypter.decryptHeader(header);
  } catch (error) {
    if (error instanceof Error && error.message.startsWith("no identity matched")) {
      throw new UsageError("E_IDENTITY", "The identity does not open this: it was encrypted to other keys", {
        hint: "use the private key of one of its recipients",
      });
    }
    throw new OpsError("E_DECRYPT", "The encrypted data is damaged: its header is not authentic", {
      cause: error,
      retryable: false,
    });
  }
}

/** Reads the textual header, up to the end of its MAC line, and leaves the rest of the stream as it is. */
class HeaderReader {
  private static readonly limit = 1024 * 1024;
  private readonly iterator: AsyncIterator<Uint8Array>;
  private pending: Buffer = Buffer.alloc(0);

  constructor(source: AsyncIterable<Uint8Array>) {
    this.iterator = source[Symbol.asyncIterator]();
  }

  async header(): Promise<Buffer> {
    for (;;) {
      const footer = this.pending.indexOf("\n---");
      const end = footer === -1 ? -1 : this.pending.indexOf("\n", footer + 1);
      if (end !== -1) return this.take(end + 1);
      if (this.pending.length > HeaderReader.limit || !(await this.more())) {
        throw new OpsError("E_DECRYPT", "The data is damaged: it has no age header", { retryable: false });
      }
    }
  }

  async take(size: number): Promise<Buffer> {
    while (this.pending.length < size) {
      if (!(await this.more())) {
        throw new OpsError("E_DECRYPT", "The encrypted data is damaged: it ends too early", {
          retryable: false,
        });
      }
    }
    const taken = this.pending.subarray(0, size);
    this.pending = this.pending.subarray(size);
    return taken;
  }

  async *rest(): AsyncGenerator<Uint8Array> {
    if (this.pending.length > 0) yield this.pending;
    for (let next = await this.iterator.next(); next.done !== true; next = await this.iterator.next()) {
      yield next.value;
    }
  }

  async close(): Promise<void> {
    await this.iterator.return?.();
  }

  private async more(): Promise<boolean> {
    const next = await this.iterator.next();
    if (next.done === true) return false;
    this.pending = Buffer.concat([this.pending, next.value]);
    return true;
  }
}
