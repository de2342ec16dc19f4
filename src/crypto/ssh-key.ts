import { createHash, createPublicKey, type KeyObject } from "node:crypto";
import { encodeBase64 } from "./stanza.ts";

/** A public key of OpenSSH, of a type that age knows. */
export type SshPublicKey = {
  /** As on the wire (RFC 4253, 6.6); what `authorized_keys` has in base64. */
  readonly wire: Buffer;
} & (
  | { readonly type: "ssh-ed25519"; readonly point: Buffer }
  | { readonly type: "ssh-rsa"; readonly key: KeyObject }
);

/** How age says which key a stanza is for. */
export function sshTag(wire: Buffer): string {
  return encodeBase64(createHash("sha256").update(wire).digest().subarray(0, 4));
}

/** `ssh-ed25519 AAAA…`, without the comment. */
export function sshText(key: SshPublicKey): string {
  return `${key.type} ${key.wire.toString("base64")}`;
}

/** Throws where the bytes are not exactly one whole key. */
export function parseSshPublicKey(wire: Buffer): SshPublicKey {
  const reader = new WireReader(wire);
  const type = reader.text();
  if (type === "ssh-ed25519") {
    const point = reader.field();
    reader.end();
    if (point.length !== 32) throw new Error("its length is wrong");
    return { type, wire, point };
  }
  if (type === "ssh-rsa") {
    const e = reader.field();
    const n = reader.field();
    reader.end();
    return { type, wire, key: rsaPublicKey(n, e) };
  }
  throw new Error(`age knows ssh-ed25519 and ssh-rsa, not ${type.replaceAll(/[^\w@.-]/g, "?")}`);
}

/** A shorter key is refused, as age refuses it. */
const smallestModulus = 2048;

function rsaPublicKey(n: Buffer, e: Buffer): KeyObject {
  const jwk = { kty: "RSA", n: n.toString("base64url"), e: e.toString("base64url") };
  const key = createPublicKey({ key: jwk, format: "jwk" });
  if ((key.asymmetricKeyDetails?.modulusLength ?? 0) < smallestModulus) {
    throw new Error(`an RSA key needs at least ${smallestModulus} bits`);
  }
  return key;
}

/** Reads the fields of SSH's binary form (RFC 4251, 5). */
export class WireReader {
  private rest: Buffer;

  constructor(bytes: Buffer) {
    this.rest = bytes;
  }

  number(): number {
    return this.take(4).readUInt32BE();
  }

  /** A `string`, or the bytes of an `mpint`. */
  field(): Buffer {
    return this.take(this.number());
  }

  text(): string {
    return this.field().toString("utf8");
  }

  end(): void {
    if (this.rest.length > 0) throw new Error("there is something behind it");
  }

  private take(size: number): Buffer {
    if (this.rest.length < size) throw new Error("it ends too early");
    const taken = this.rest.subarray(0, size);
    this.rest = this.rest.subarray(size);
    return taken;
  }
}
