import { createHash, createPrivateKey, createPublicKey, diffieHellman } from "node:crypto";

/** X25519 on raw keys of 32 bytes, by node:crypto, and the way from an Ed25519 key to it (RFC 7748, 4.1). */

/** Throws for a point of low order, whose secret would be known to everybody. */
export function sharedSecret(privateKey: Uint8Array, publicKey: Uint8Array): Buffer {
  return diffieHellman({ privateKey: privateObject(privateKey), publicKey: publicObject(publicKey) });
}

export function publicOf(privateKey: Uint8Array): Buffer {
  const { x = "" } = createPublicKey(privateObject(privateKey)).export({ format: "jwk" });
  return Buffer.from(x, "base64url");
}

/** The X25519 private key that belongs to an Ed25519 seed. */
export function montgomerySecret(seed: Uint8Array): Buffer {
  return createHash("sha512").update(seed).digest().subarray(0, 32);
}

const p = 2n ** 255n - 19n;
const d = 37095705934669439343138083508754565189542113879843219016388785533085940283555n;

/** The X25519 public key that belongs to an Ed25519 one. Undefined where that is no point of the curve. */
export function montgomeryPublic(edwards: Uint8Array): Buffer | undefined {
  const littleEndian = Buffer.from(edwards).reverse();
  littleEndian[0] = (littleEndian[0] ?? 0) & 0x7f;
  const y = BigInt(`0x${littleEndian.toString("hex")}`);
  if (edwards.length !== 32 || y >= p || y === 1n) return undefined;
  // x² = (y² − 1) / (d·y² + 1) must be a square.
  const squared = modulo((y * y - 1n) * inverse(modulo(d * y * y + 1n)));
  if (power(squared, (p - 1n) / 2n) === p - 1n) return undefined;
  const u = modulo((1n + y) * inverse(modulo(1n - y)));
  return Buffer.from(u.toString(16).padStart(64, "0"), "hex").reverse();
}

function modulo(value: bigint): bigint {
  const rest = value % p;
  return rest < 0n ? rest + p : rest;
}

function inverse(value: bigint): bigint {
  return power(value, p - 2n);
}

function power(base: bigint, exponent: bigint): bigint {
  let result = 1n;
  for (let square = base, left = exponent; left > 0n; left >>= 1n) {
    if ((left & 1n) === 1n) result = modulo(result * square);
    square = modulo(square * square);
  }
  return result;
}

// RFC 8410: what stands before the 32 bytes in PKCS#8 and in SubjectPublicKeyInfo.
const privatePrefix = Buffer.from("302e020100300506032b656e04220420", "hex");
const publicPrefix = Buffer.from("302a300506032b656e032100", "hex");

function privateObject(key: Uint8Array) {
  return createPrivateKey({ key: Buffer.concat([privatePrefix, key]), format: "der", type: "pkcs8" });
}

function publicObject(key: Uint8Array) {
  return createPublicKey({ key: Buffer.concat([publicPrefix, key]), format: "der", type: "spki" });
}
