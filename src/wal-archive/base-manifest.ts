import { z } from "zod";
import {
  decodeSealed,
  encodeSealed,
  type ManifestSignature,
  signDocument,
  trustedSignerOf,
} from "../archive/sealed-document.ts";
import { encryptionSchema } from "../crypto/sealer.ts";
import { type Signer, signerOf } from "../crypto/signature.ts";

/** The object that makes a base backup one. The format is written down in docs/formats/base-backup.md. */
const bytes = z.int().nonnegative();
const position = z.string().regex(/^[0-9A-F]{1,8}\/[0-9A-F]{1,8}$/);

const objectSchema = z.strictObject({
  name: z.string(),
  content: z.enum(["base", "tablespace", "manifest"]),
  tablespace: z.strictObject({ oid: z.int().positive(), path: z.string() }).nullable(),
  bytes,
  sha256: z.string().regex(/^[0-9a-f]{64}$/),
  plainBytes: bytes,
});

const baseManifestSchema = z.strictObject({
  format: z.literal("ops-base-backup"),
  version: z.literal(1),
  id: z.string(),
  /** The base backup that this one is the difference to; absent: it stands alone. */
  parent: z.string().optional(),
  environment: z.string(),
  database: z.string(),
  systemIdentifier: z.string().regex(/^\d+$/),
  serverVersion: z.string(),
  segmentBytes: bytes,
  timeline: z.int().positive(),
  /** The log is replayed from here. */
  startLsn: position,
  /** Before here it is not consistent. */
  stopLsn: position,
  startedAt: z.iso.datetime(),
  /** By the server's clock, behind `stopLsn`: the earliest moment to restore to. */
  stoppedAt: z.iso.datetime(),
  /** The first transaction (64 bits) that had not begun behind `stopLsn`. */
  nextTransaction: z.string().regex(/^\d+$/),
  finishedAt: z.iso.datetime(),
  run: z.string().nullable(),
  actor: z.string(),
  encryption: encryptionSchema,
  plainBytes: bytes,
  objects: z.array(objectSchema).min(2),
});

export type BaseManifest = z.output<typeof baseManifestSchema>;
export type BaseObject = BaseManifest["objects"][number];

export interface SealedBaseManifest {
  readonly manifest: BaseManifest;
  readonly signature: ManifestSignature | undefined;
}

/** @param signingKey in PEM; undefined: the manifest is not signed */
export function encodeBaseManifest(manifest: BaseManifest, signingKey: string | undefined): Buffer {
  const signer: Signer | undefined = signingKey === undefined ? undefined : signerOf(signingKey);
  return encodeSealed(baseManifestSchema, manifest, signer && signDocument(manifest, signer));
}

/** Undefined where a single byte differs from what was written, or where the format is not known. */
export function decodeBaseManifest(content: Uint8Array): SealedBaseManifest | undefined {
  const sealed = decodeSealed(baseManifestSchema, content);
  return sealed && { manifest: sealed.document, signature: sealed.signature };
}

/** Bytes of its objects in a store. */
export function storedBytes({ objects }: BaseManifest): number {
  return objects.reduce((sum, each) => sum + each.bytes, 0);
}

/** The trusted key that vouches for the manifest; undefined where none does. */
export function trustedBaseSigner(
  { manifest, signature }: SealedBaseManifest,
  trusted: readonly string[],
): string | undefined {
  return trustedSignerOf(manifest, signature, trusted);
}

/** The names of a base backup's objects, behind its prefix. `suffix` tells the encryption: `.age`, `.aes`. */
export const baseObjectNames = (suffix: string) => ({
  base: `base.tar.zst${suffix}`,
  manifest: `backup_manifest.zst${suffix}`,
  tablespace: (oid: number) => `tablespace-${oid}.tar.zst${suffix}`,
});
