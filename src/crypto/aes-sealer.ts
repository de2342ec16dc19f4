import { randomBytes } from "node:crypto";
import { UsageError } from "../core/errors.ts";
import {
  type AesHeader,
  authenticateAesHeader,
  decryptAesPayload,
  encodeAesHeader,
  encryptAes,
  parseAesHeader,
} from "./aes.ts";
import { damaged } from "./chunks.ts";
import { dataKeySize, type FileKey, unwrapWithFile, type WrappedKey, wrapWithFile } from "./data-key.ts";
import type { KmsWrapping } from "./kms.ts";
import type { EncryptionRecord, MethodOpener, Sealer } from "./sealer.ts";

/** What wraps data keys: a key file, KMS, or both, where each of them opens the backups. */
export interface WrappingKeys {
  /** The first one wraps; each of them opens. */
  readonly fileKeys: readonly FileKey[];
  readonly kms: KmsWrapping | undefined;
}

/** One data key for all objects of a backup; each object's own key is derived from it and a random salt. */
export class AesSealer implements Sealer {
  readonly method = "aes-256-gcm";
  readonly suffix = ".aes";
  private readonly wrapping: WrappingKeys;
  private readonly dataKey: Buffer;
  private readonly wrapped: readonly WrappedKey[];
  /** By the data key, for the many objects of one backup that are wrapped again. */
  private readonly headers = new Map<string, Promise<Buffer>>();

  /** Makes the data key and wraps it. Throws `E_KMS`. */
  static async create(wrapping: WrappingKeys): Promise<AesSealer> {
    const made = await wrapping.kms?.newDataKey();
    const dataKey = made?.dataKey ?? randomBytes(dataKeySize);
    return new AesSealer(wrapping, dataKey, [
      ...wrapWithFirst(wrapping, dataKey),
      ...(made === undefined ? [] : [made.wrapped]),
    ]);
  }

  private constructor(wrapping: WrappingKeys, dataKey: Buffer, wrapped: readonly WrappedKey[]) {
    this.wrapping = wrapping;
    this.dataKey = dataKey;
    this.wrapped = wrapped;
  }

  describe(): EncryptionRecord {
    return { method: this.method, keys: this.wrapped.map(({ kind, key }) => `${kind} ${key}`) };
  }

  encrypt(source: AsyncIterable<Uint8Array>): AsyncGenerator<Buffer> {
    return encryptAes(this.dataKey, encodeAesHeader(this.dataKey, this.wrapped), source);
  }

  wrap(key: Uint8Array): Promise<Buffer> {
    return once(this.headers, Buffer.from(key).toString("hex"), () => this.newHeader(key));
  }

  private async newHeader(dataKey: Uint8Array): Promise<Buffer> {
    const byKms = await this.wrapping.kms?.wrap(dataKey);
    return encodeAesHeader(dataKey, [
      ...wrapWithFirst(this.wrapping, dataKey),
      ...(byKms === undefined ? [] : [byKms]),
    ]);
  }
}

function wrapWithFirst({ fileKeys }: WrappingKeys, dataKey: Uint8Array): WrappedKey[] {
  return fileKeys.slice(0, 1).map((each) => wrapWithFile(each, dataKey));
}

/** Opens with a key file where that is possible, since KMS is asked over the network. */
export function aesOpener(wrapping: WrappingKeys): MethodOpener {
  const known = new Map<string, Promise<Buffer>>();
  return {
    unwrap: async (reader) => {
      const header = parseAesHeader(await reader.header());
      // The objects of one backup have one header: KMS is asked once.
      const dataKey = await once(known, header.text, () => unwrapDataKey(wrapping, header));
      authenticateAesHeader(dataKey, header);
      return dataKey;
    },
    decrypt: decryptAesPayload,
  };
}

async function unwrapDataKey({ fileKeys, kms }: WrappingKeys, { keys }: AesHeader): Promise<Buffer> {
  for (const wrapped of keys) {
    const fileKey = fileKeys.find((each) => wrapped.kind === "key-file" && each.id === wrapped.key);
    if (fileKey === undefined) continue;
    const dataKey = unwrapWithFile(fileKey, wrapped);
    if (dataKey === undefined) throw damaged("its wrapped key is not authentic");
    return dataKey;
  }
  const byKms = keys.find((each) => each.kind === "aws-kms");
  if (byKms !== undefined && kms !== undefined) return kms.unwrap(byKms);
  const wanted = keys.map(({ kind, key }) => `${kind} ${key}`).join(" or ");
  throw new UsageError("E_IDENTITY", `None of the encryption keys opens this: it needs ${wanted}`, {
    hint: 'name it under "encryption-key:" or "kms:" of the store; a key file may hold former keys, a line each',
  });
}

/** A failure is not kept: the next one asks again. */
function once<T>(results: Map<string, Promise<T>>, name: string, work: () => Promise<T>): Promise<T> {
  const result = results.get(name) ?? work();
  results.set(name, result);
  result.catch(() => results.delete(name));
  return result;
}
