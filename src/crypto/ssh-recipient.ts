import { constants, hkdfSync, publicEncrypt, randomBytes } from "node:crypto";
import { type Recipient, Stanza } from "age-encryption";
import { montgomeryPublic, publicOf, sharedSecret } from "./curve25519.ts";
import { parseSshPublicKey, type SshPublicKey, sshTag } from "./ssh-key.ts";
import { encodeBase64, wrapKey } from "./stanza.ts";

/** age's stanzas for SSH keys, as its command writes them (`age -r "ssh-ed25519 AAAA…"`). */
export const ed25519Label = "age-encryption.org/v1/ssh-ed25519";
export const rsaOptions = {
  padding: constants.RSA_PKCS1_OAEP_PADDING,
  oaepHash: "sha256",
  oaepLabel: Buffer.from("age-encryption.org/v1/ssh-rsa"),
};

/**
 * From a line of `authorized_keys` (`ssh-ed25519 AAAA… comment`). Throws, with the reason as one clause, where it is
 * not a whole key of a type that age knows.
 */
export function sshRecipient(line: string): Recipient {
  const [type = "", base64 = ""] = line.trim().split(/\s+/);
  const key = parseSshPublicKey(Buffer.from(base64, "base64"));
  if (key.type !== type) throw new Error(`it says ${type} and is ${key.type}`);
  if (key.type === "ssh-rsa") return { wrapFileKey: (fileKey) => [rsaStanza(key, fileKey)] };
  const point = montgomeryPublic(key.point);
  if (point === undefined) throw new Error("it is not a point of the curve: a character is wrong");
  return { wrapFileKey: (fileKey) => [ed25519Stanza(key, point, fileKey)] };
}

function rsaStanza(key: Extract<SshPublicKey, { type: "ssh-rsa" }>, fileKey: Uint8Array): Stanza {
  return new Stanza(["ssh-rsa", sshTag(key.wire)], publicEncrypt({ key: key.key, ...rsaOptions }, fileKey));
}

function ed25519Stanza(key: SshPublicKey, point: Buffer, fileKey: Uint8Array): Stanza {
  const ephemeral = randomBytes(32);
  const share = publicOf(ephemeral);
  const wrappingKey = ed25519WrappingKey(key.wire, share, point, sharedSecret(ephemeral, point));
  return new Stanza(["ssh-ed25519", sshTag(key.wire), encodeBase64(share)], wrapKey(wrappingKey, fileKey));
}

/** What both sides derive. The tweak binds the secret to the SSH key, not only to its point. */
export function ed25519WrappingKey(wire: Buffer, share: Buffer, point: Buffer, secret: Buffer): Buffer {
  const tweak = Buffer.from(hkdfSync("sha256", Buffer.alloc(0), wire, ed25519Label, 32));
  const tweaked = sharedSecret(tweak, secret);
  return Buffer.from(hkdfSync("sha256", tweaked, Buffer.concat([share, point]), ed25519Label, 32));
}
