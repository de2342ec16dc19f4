import {
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  sign as signWith,
  verify as verifyWith,
} from "node:crypto";
import { UsageError } from "../core/errors.ts";

/**
 * Ed25519 signatures (RFC 8032) over bytes as they are, so that `openssl pkeyutl -verify -rawin` checks them too. Keys
 * and signatures are texts: a public key is `ed25519:` and 32 bytes in base64, a signature 64 bytes in base64.
 */
const prefix = "ed25519:";
const keySize = 32;
const signatureSize = 64;
// RFC 8410: what stands before the 32 bytes in PKCS#8 and in SubjectPublicKeyInfo.
const privatePrefix = Buffer.from("302e020100300506032b657004220420", "hex");
const publicPrefix = Buffer.from("302a300506032b6570032100", "hex");

export interface Signer {
  /** `ed25519:…`, to be named under `trusted-signers`. */
  readonly publicKey: string;
  /** 88 characters of base64. */
  sign(bytes: Uint8Array): string;
}

/**
 * @param text PKCS#8 in PEM (`openssl genpkey -algorithm ed25519`), or the 32 bytes of the seed in hexadecimal or
 *   base64
 *
 * Throws `E_SIGNING_KEY`, never with a part of the text.
 */
export function signerOf(text: string): Signer {
  const key = privateKeyOf(text.trim());
  return {
    publicKey: publicText(createPublicKey(key)),
    sign: (bytes) => signWith(null, bytes, key).toString("base64"),
  };
}

/** The trusted key that made the signature over exactly these bytes; undefined where none of them did. */
export function verifySignature(
  bytes: Uint8Array,
  signature: string,
  trusted: readonly string[],
): string | undefined {
  const decoded = Buffer.from(signature, "base64");
  if (decoded.length !== signatureSize || decoded.toString("base64") !== signature) return undefined;
  return trusted.find((each) => verifyWith(null, bytes, publicKeyOf(each), decoded));
}

/** A new private key in PEM, and its public half. */
export function newSigningKey(): { readonly privateKey: string; readonly publicKey: string } {
  const pair = generateKeyPairSync("ed25519");
  return {
    privateKey: pair.privateKey.export({ format: "pem", type: "pkcs8" }).toString(),
    publicKey: publicText(pair.publicKey),
  };
}

function privateKeyOf(text: string): KeyObject {
  try {
    const key = text.includes("-----BEGIN") ? createPrivateKey(text) : fromSeed(text);
    if (key.asymmetricKeyType === "ed25519") return key;
  } catch {
    // The reason may quote the key.
  }
  throw new UsageError("E_SIGNING_KEY", "The signing key is not an Ed25519 private key", {
    hint: "make one with: ops backup keys new --type signing --to FILE (or: openssl genpkey -algorithm ed25519)",
  });
}

function fromSeed(text: string): KeyObject {
  const seed = Buffer.from(text, /^[0-9a-f]{64}$/i.test(text) ? "hex" : "base64");
  if (seed.length !== keySize) throw new Error("not 32 bytes");
  return createPrivateKey({ key: Buffer.concat([privatePrefix, seed]), format: "der", type: "pkcs8" });
}

function publicKeyOf(text: string): KeyObject {
  const bytes = Buffer.from(text.slice(prefix.length), "base64");
  if (!text.startsWith(prefix) || bytes.length !== keySize) {
    throw new UsageError("E_SIGNING_KEY", `"${text}" is not the public key of a signer`, {
      hint: 'it begins with "ed25519:"; ops backup keys new --type signing prints it',
    });
  }
  return createPublicKey({ key: Buffer.concat([publicPrefix, bytes]), format: "der", type: "spki" });
}

function publicText(key: KeyObject): string {
  const { x = "" } = key.export({ format: "jwk" });
  return `${prefix}${Buffer.from(x, "base64url").toString("base64")}`;
}
