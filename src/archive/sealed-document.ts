import { z } from "zod";
import { canonicalJson, digest } from "../core/digest.ts";
import type { Json } from "../core/errors.ts";
import { type Signer, verifySignature } from "../crypto/signature.ts";

/** A JSON document whose every byte counts: its last keys are the digest of everything else, and a signature. */
const signatureSchema = z.strictObject({ key: z.string(), value: z.string() });

/** Who vouches for a document: the public key's text and the Ed25519 signature over `signedBytes`. */
export type ManifestSignature = z.output<typeof signatureSchema>;

/** What a signature is over: the canonical JSON (sorted keys, no white space) of everything but digest and signature. */
export function signedBytes(document: object): Buffer {
  return Buffer.from(canonicalJson(document as Json));
}

/** The trusted key that vouches for the document; undefined where none does. */
export function trustedSignerOf(
  document: object,
  signature: ManifestSignature | undefined,
  trusted: readonly string[],
): string | undefined {
  return signature === undefined
    ? undefined
    : verifySignature(signedBytes(document), signature.value, trusted);
}

export function signDocument(document: object, signer: Signer): ManifestSignature {
  return { key: signer.publicKey, value: signer.sign(signedBytes(document)) };
}

/** Indented by two spaces, keys in the order of the schema whoever made it, one line feed at the end. */
export function encodeSealed<S extends z.ZodObject>(
  schema: S,
  document: z.output<S>,
  signature?: ManifestSignature,
): Buffer {
  const sealed = {
    ...schema.parse(document),
    digest: digest(canonicalJson(document as Json)),
    ...(signature === undefined ? {} : { signature }),
  };
  return Buffer.from(`${JSON.stringify(sealed, null, 2)}\n`);
}

/** Undefined where a single byte differs from what `encodeSealed` wrote, or where the format is not known. */
export function decodeSealed<S extends z.ZodObject>(
  schema: S,
  bytes: Uint8Array,
): { readonly document: z.output<S>; readonly signature: ManifestSignature | undefined } | undefined {
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
  const parsed = schema.safeParse(rest);
  if (!parsed.success || !encodeSealed(schema, parsed.data, signature).equals(bytes)) return undefined;
  return { document: parsed.data, signature };
}
