import type { StoreKeys } from "../config/encryption-schema.ts";
import { UsageError } from "../core/errors.ts";
import { aesMagic } from "./aes.ts";
import { AesSealer, aesOpener, type WrappingKeys } from "./aes-sealer.ts";
import { AgeSealer, ageOpener } from "./age.ts";
import { ageMagic, wrapFileKey } from "./age-header.ts";
import { ByteReader } from "./byte-reader.ts";
import { damaged } from "./chunks.ts";
import { parseKeyFile } from "./data-key.ts";
import { decrypterFor } from "./identity.ts";
import { KmsWrapping } from "./kms.ts";
import type { AgeRecipients } from "./recipient.ts";
import type { EncryptionMethod, MethodOpener, Sealer } from "./sealer.ts";
import { fileKeySize } from "./stanza.ts";

/** Opens objects of a store, whatever their method; it is read from each object. */
export interface Opener {
  /**
   * Yields only what is authentic, and ends without an error only where it is the whole. Throws `E_IDENTITY` where the
   * keys do not open it and `E_DECRYPT` where it is damaged. A damaged header can look like a wrong key: compare the
   * stored checksum before you believe in `E_IDENTITY`.
   */
  decrypt(source: AsyncIterable<Uint8Array>): AsyncGenerator<Buffer>;
  /** The key in an object's header, and what stands behind the header, still encrypted. */
  unwrap<T>(
    source: AsyncIterable<Uint8Array>,
    use: (method: EncryptionMethod, key: Uint8Array, payload: AsyncIterable<Uint8Array>) => AsyncGenerator<T>,
  ): AsyncGenerator<T>;
}

/**
 * What encrypts one backup of this store; make one for each backup. With public keys nothing secret is needed. Throws
 * `E_RECIPIENT` or `E_ENCRYPTION_KEY` where nobody could open the backup, `E_SECRET`, `E_KMS`.
 */
export async function sealerFor(target: StoreKeys): Promise<Sealer> {
  if (target.encryptionMethod === "aes-256-gcm") {
    const keys = await wrappingKeys(target);
    if (keys.fileKeys.length > 0 || keys.kms !== undefined) return AesSealer.create(keys);
    throw new UsageError("E_ENCRYPTION_KEY", `The store ${target.name} has no key to encrypt with AES-256`, {
      hint: `add "encryption-key: file:PATH" (made by: openssl rand -base64 32) or "kms:" to the store in .opsrc`,
    });
  }
  const recipients = await recipientsFor(target);
  // A wrong recipient is found now and not after an hour of dumping.
  if ("publicKeys" in recipients) await wrapFileKey(Buffer.alloc(fileKeySize), recipients);
  return new AgeSealer(recipients);
}

async function recipientsFor(target: StoreKeys): Promise<AgeRecipients> {
  if (target.passphrase === undefined) return { publicKeys: target.recipients };
  if (target.recipients.length === 0) return { passphrase: await target.passphrase.reveal() };
  throw new UsageError("E_RECIPIENT", `The store ${target.name} has both recipients and a passphrase`, {
    hint: "the age format allows a passphrase only alone: remove one of the two from the store in .opsrc",
  });
}

/**
 * What opens the backups of this store: its identity, its passphrase and its encryption keys, as many of them as are
 * configured. Throws `E_IDENTITY` where none is or one is no key, and `E_SECRET`; KMS is asked only when it is needed.
 */
export async function openerFor(target: StoreKeys): Promise<Opener> {
  const [identity, passphrase, keys] = await Promise.all([
    target.identity?.reveal(),
    target.passphrase?.reveal(),
    wrappingKeys(target),
  ]);
  const opensAge = identity !== undefined || passphrase !== undefined;
  const opensAes = keys.fileKeys.length > 0 || keys.kms !== undefined;
  if (!opensAge && !opensAes) throw noKey(target.encryptionMethod, target.name);
  const openers: Record<EncryptionMethod, MethodOpener | undefined> = {
    age: opensAge ? ageOpener(decrypterFor({ identity, passphrase })) : undefined,
    "aes-256-gcm": opensAes ? aesOpener(keys) : undefined,
  };
  const openerOf = (method: EncryptionMethod) => {
    const opener = openers[method];
    if (opener === undefined) throw noKey(method, target.name);
    return opener;
  };
  return {
    decrypt: (source) =>
      reading(source, async function* (reader) {
        const opener = openerOf(await methodOf(reader));
        yield* opener.decrypt(await opener.unwrap(reader), reader);
      }),
    unwrap: (source, use) =>
      reading(source, async function* (reader) {
        const method = await methodOf(reader);
        yield* use(method, await openerOf(method).unwrap(reader), reader.rest());
      }),
  };
}

/**
 * The same object for whom the sealer encrypts to. The header is replaced and the payload passes unchanged, neither
 * decrypted nor authenticated: compare the checksum of what is read. Where the sealer has another method the whole is
 * decrypted and encrypted again, in memory. Throws as `decrypt` and `wrap` do.
 */
export function rewrap(
  source: AsyncIterable<Uint8Array>,
  opener: Opener,
  sealer: Sealer,
): AsyncGenerator<Uint8Array> {
  return reading(source, async function* (reader) {
    if ((await methodOf(reader)) !== sealer.method) {
      yield* sealer.encrypt(opener.decrypt(reader.rest()));
      return;
    }
    yield* opener.unwrap(reader.rest(), async function* (_, key, payload): AsyncGenerator<Uint8Array> {
      yield await sealer.wrap(key);
      yield* payload;
    });
  });
}

async function methodOf(reader: ByteReader): Promise<EncryptionMethod> {
  const first = (await reader.peek(Math.max(ageMagic.length, aesMagic.length))).toString("latin1");
  if (first.startsWith(ageMagic)) return "age";
  if (first.startsWith(aesMagic)) return "aes-256-gcm";
  throw damaged("it does not begin as an encrypted object");
}

async function* reading<T>(
  source: AsyncIterable<Uint8Array>,
  read: (reader: ByteReader) => AsyncGenerator<T>,
): AsyncGenerator<T> {
  const reader = new ByteReader(source);
  try {
    yield* read(reader);
  } finally {
    await reader.close();
  }
}

async function wrappingKeys({ encryptionKey, kms }: StoreKeys): Promise<WrappingKeys> {
  return {
    fileKeys: encryptionKey === undefined ? [] : parseKeyFile(await encryptionKey.reveal()),
    kms: kms === undefined ? undefined : new KmsWrapping(kms),
  };
}

function noKey(method: EncryptionMethod, store: string): UsageError {
  const key =
    method === "age"
      ? '"identity: file:PATH" (or env:NAME)'
      : '"encryption-key: file:PATH" (or env:NAME), or "kms:"';
  return new UsageError("E_IDENTITY", `The store ${store} has no identity to open its backups with`, {
    hint: `add ${key} to the store ${store} in .opsrc`,
  });
}
