import { createPrivateKey, createPublicKey, type KeyObject } from "node:crypto";
import { UsageError } from "../core/errors.ts";
import { WireReader } from "./ssh-key.ts";

/** A private key of OpenSSH, of a type that age knows. */
export type SshPrivateKey =
  | { readonly type: "ssh-ed25519"; readonly seed: Buffer; readonly wire: Buffer }
  | { readonly type: "ssh-rsa"; readonly key: KeyObject; readonly wire: Buffer };

/** Whether a text is a private key in PEM, which an age identity never is. */
export function looksLikePem(text: string): boolean {
  return /^-----BEGIN [A-Z ]*PRIVATE KEY-----/m.test(text);
}

/**
 * A private key as ssh-keygen writes it, or in PEM (PKCS#1, PKCS#8). Throws `E_IDENTITY`, never with a part of the key,
 * where it is protected by a passphrase or cannot be read.
 */
export function parseSshPrivateKey(pem: string): SshPrivateKey {
  try {
    return /-----BEGIN OPENSSH PRIVATE KEY-----/.test(pem) ? fromOpenSsh(pem) : fromPem(pem);
  } catch (error) {
    if (error instanceof UsageError) throw error;
    // The reason may quote the key.
    throw new UsageError("E_IDENTITY", "The identity looks like an SSH private key but cannot be read", {
      hint: "it must be a whole, unencrypted ssh-ed25519 or ssh-rsa key; see that: ssh-keygen -y -f FILE reads it",
    });
  }
}

function fromPem(pem: string): SshPrivateKey {
  if (/ENCRYPTED/.test(pem)) throw locked();
  const key = createPrivateKey(pem);
  const jwk = key.export({ format: "jwk" });
  const bytes = (text = "") => Buffer.from(text, "base64url");
  if (key.asymmetricKeyType === "rsa") return rsa(key);
  if (key.asymmetricKeyType !== "ed25519") throw new Error("neither RSA nor Ed25519");
  return { type: "ssh-ed25519", seed: bytes(jwk.d), wire: wireOf("ssh-ed25519", bytes(jwk.x)) };
}

/** https://github.com/openssh/openssh-portable/blob/master/PROTOCOL.key */
function fromOpenSsh(pem: string): SshPrivateKey {
  const magic = "openssh-key-v1\0";
  const bytes = Buffer.from(pem.replaceAll(/-----[A-Z ]+-----|\s/g, ""), "base64");
  if (bytes.toString("latin1", 0, magic.length) !== magic) throw new Error("another version");
  const outer = new WireReader(bytes.subarray(magic.length));
  const cipher = outer.text();
  outer.field();
  outer.field();
  if (cipher !== "none") throw locked();
  if (outer.number() !== 1) throw new Error("several keys");
  outer.field();
  const inner = new WireReader(outer.field());
  const check = inner.number();
  if (inner.number() !== check) throw new Error("the check numbers differ");
  const type = inner.text();
  if (type === "ssh-ed25519") {
    const point = inner.field();
    const seed = inner.field().subarray(0, 32);
    return { type, seed, wire: wireOf(type, point) };
  }
  if (type !== "ssh-rsa") throw new Error("another type");
  const [n, e, d, qi, p, q] = Array.from({ length: 6 }, () => inner.field()) as Six;
  const remainder = (prime: Buffer) => encodeNumber(toNumber(d) % (toNumber(prime) - 1n));
  const parts = { n, e, d, p, q, dp: remainder(p), dq: remainder(q), qi };
  const jwk = Object.entries(parts).map(([name, part]) => [name, trimmed(part).toString("base64url")]);
  return rsa(createPrivateKey({ key: { kty: "RSA", ...Object.fromEntries(jwk) }, format: "jwk" }));
}

type Six = [Buffer, Buffer, Buffer, Buffer, Buffer, Buffer];

function rsa(key: KeyObject): SshPrivateKey {
  const { n = "", e = "" } = createPublicKey(key).export({ format: "jwk" });
  const number = (text: string) => positive(Buffer.from(text, "base64url"));
  return { type: "ssh-rsa", key, wire: wireOf("ssh-rsa", number(e), number(n)) };
}

function wireOf(type: string, ...fields: readonly Buffer[]): Buffer {
  return Buffer.concat([Buffer.from(type), ...fields].flatMap((each) => [length(each), each]));
}

function length(field: Buffer): Buffer {
  const size = Buffer.alloc(4);
  size.writeUInt32BE(field.length);
  return size;
}

/** An mpint whose first bit is set would be negative. */
function positive(number: Buffer): Buffer {
  return (number[0] ?? 0) >= 0x80 ? Buffer.concat([Buffer.alloc(1), number]) : number;
}

function trimmed(number: Buffer): Buffer {
  return number[0] === 0 ? number.subarray(1) : number;
}

function toNumber(bytes: Buffer): bigint {
  return BigInt(`0x${bytes.toString("hex")}`);
}

function encodeNumber(value: bigint): Buffer {
  const hex = value.toString(16);
  return Buffer.from(hex.padStart(hex.length + (hex.length % 2), "0"), "hex");
}

function locked(): UsageError {
  return new UsageError(
    "E_IDENTITY",
    "The identity is an SSH private key that is protected by a passphrase",
    {
      hint: "give a reference that yields it unlocked (cmd:…), or make a copy without: ssh-keygen -p -N '' -f COPY",
    },
  );
}
