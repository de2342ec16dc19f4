import { z } from "zod";
import { encryptionSchema } from "../crypto/sealer.ts";
import type { Signer } from "../crypto/signature.ts";
import {
  decodeSealed,
  encodeSealed,
  type ManifestSignature,
  signDocument,
  signedBytes,
  trustedSignerOf,
} from "./sealed-document.ts";

export { type ManifestSignature, signedBytes };

/** The object that makes a backup a backup. The format is written down in docs/formats/backup-manifest.md. */
const sha256 = z.string().regex(/^[0-9a-f]{64}$/);
const bytes = z.int().nonnegative();

const objectSchema = z.strictObject({
  name: z.string(),
  content: z.enum(["main", "table", "globals", "contents"]),
  bytes,
  sha256,
  plainBytes: bytes,
});

const manifestSchema = z.strictObject({
  format: z.literal("ops-backup"),
  version: z.literal(2),
  id: z.string(),
  kind: z.literal("logical"),
  environment: z.string(),
  database: z.string(),
  source: z.strictObject({
    database: z.string(),
    serverVersion: z.string(),
    encoding: z.string(),
    localeProvider: z.enum(["libc", "icu", "builtin"]),
    collate: z.string(),
    ctype: z.string(),
    locale: z.string().nullable(),
    // PostgreSQL 16 and later, where the database has rules of its own.
    icuRules: z.string().optional(),
  }),
  startedAt: z.iso.datetime(),
  finishedAt: z.iso.datetime(),
  run: z.string().nullable(),
  actor: z.string(),
  encryption: encryptionSchema,
  dumpProgram: z.string(),
  whole: z.boolean(),
  dumpBytes: bytes,
  tables: bytes,
  rows: bytes,
  objects: z.array(objectSchema).min(1),
});

export type Manifest = z.output<typeof manifestSchema>;
export type ManifestObject = Manifest["objects"][number];
export type DatabaseSource = Manifest["source"];

export interface SealedManifest {
  readonly manifest: Manifest;
  readonly signature: ManifestSignature | undefined;
}

/** The trusted key that vouches for the manifest; undefined where none does. */
export function trustedSigner(sealed: SealedManifest, trusted: readonly string[]): string | undefined {
  return trustedSignerOf(sealed.manifest, sealed.signature, trusted);
}

export function signManifest(manifest: Manifest, signer: Signer): ManifestSignature {
  return signDocument(manifest, signer);
}

/** The bytes of the manifest: indented JSON with the digest of everything else, and the signature, as its last keys. */
export function encodeManifest(manifest: Manifest, signature?: ManifestSignature): Buffer {
  return encodeSealed(manifestSchema, manifest, signature);
}

/** Undefined where a single byte differs from what `encodeManifest` wrote, or where the format is not known. */
export function decodeManifest(bytes: Uint8Array): SealedManifest | undefined {
  const sealed = decodeSealed(manifestSchema, bytes);
  return sealed && { manifest: sealed.document, signature: sealed.signature };
}
