import { z } from "zod";
import { canonicalJson, digest } from "../core/digest.ts";
import type { Json } from "../core/errors.ts";
import { encryptionSchema } from "../crypto/sealer.ts";
import { type Signer, verifySignature } from "../crypto/signature.ts";

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

const signatureSchema = z.strictObject({ key: z.string(), value: z.string() });

export type Manifest = z.output<typeof manifestSchema>;
export type ManifestObject = Manifest["objects"][number];
export type DatabaseSource = Manifest["source"];
/** Who vouches for a manifest: the public key's text and the Ed25519 signature over `signedBytes`. */
export type ManifestSignature = z.output<typeof signatureSchema>;

export interface SealedManifest {
  readonly manifest: Manifest;
  readonly signature: ManifestSignature | undefined;
}

/** What a signature is over: the canonical JSON (sorted keys, no white space) of everything but digest and signature. */
export function signedBytes(manifest: Manifest): Buffer {
  return Buffer.from(canonicalJson(manifest as unknown as Json));
}

/** The trusted key that vouches for the manifest; undefined where none does. */
export function trustedSigner(sealed: SealedManifest, trusted: readonly string[]): string | undefined {
  const { manifest, signature } = sealed;
  return signature === undefined
    ? undefined
    : verifySignature(signedBytes(manifest), signature.value, trusted);
}

export function signManifest(manifest: Manifest, signer: Signer): ManifestSignature {
  return { key: signer.publicKey, value: signer.sign(signedBytes(manifest)) };
}

/** The bytes of the manifest: indented JSON with the digest of everything else, and the signature, as its last keys. */
export function encodeManifest(manifest: Manifest, signature?: ManifestSignature): Buffer {
  const sealed = {
    // In the order of the schema, whoever made it.
    ...manifestSchema.parse(manifest),
    digest: digest(canonicalJson(manifest as unknown as Json)),
    ...(signature === undefined ? {} : { signature }),
  };
  return Buffer.from(`${JSON.stringify(sealed, null, 2)}\n`);
}

/** Undefined where a single byte differs from what `encodeManifest` wrote, or where the format is not known. */
export function decodeManifest(bytes: Uint8Array): SealedManifest | undefined {
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch {
    return undefined;
  }
  const sealed = z
    .looseObject({ digest: z.string(), signature: signatureSchema.optional() })
    .safeParse(value).data;
  const { digest: _digest, signature, ...rest } = sealed ?? {};
  const parsed = manifestSchema.safeParse(rest);
  if (!parsed.success || !encodeManifest(parsed.data, signature).equals(bytes)) return undefined;
  return { manifest: parsed.data, signature };
}
