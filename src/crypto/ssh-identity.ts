import { privateDecrypt } from "node:crypto";
import type { Identity, Stanza } from "age-encryption";
import { montgomerySecret, publicOf, sharedSecret } from "./curve25519.ts";
import { sshTag } from "./ssh-key.ts";
import type { SshPrivateKey } from "./ssh-private-key.ts";
import { ed25519WrappingKey, rsaOptions } from "./ssh-recipient.ts";
import { decodeBase64, fileKeySize, unwrapKey } from "./stanza.ts";

/** Opens age's stanzas for an SSH key with its private half. */
export function sshIdentity(key: SshPrivateKey): Identity {
  const tag = sshTag(key.wire);
  const isOwn = ({ args }: Stanza) => args[0] === key.type && args[1] === tag;
  return {
    unwrapFileKey: (stanzas) =>
      stanzas
        .filter(isOwn)
        .map((stanza) => (key.type === "ssh-rsa" ? openRsa(key, stanza) : openEd25519(key, stanza)))
        .find((fileKey) => fileKey !== null) ?? null,
  };
}

function openRsa(key: Extract<SshPrivateKey, { type: "ssh-rsa" }>, stanza: Stanza): Buffer | null {
  if (stanza.args.length !== 2) throw new Error("an ssh-rsa stanza is malformed");
  try {
    const fileKey = privateDecrypt({ key: key.key, ...rsaOptions }, stanza.body);
    return fileKey.length === fileKeySize ? fileKey : null;
  } catch {
    // The tag has four bytes: another key may have the same one.
    return null;
  }
}

function openEd25519(key: Extract<SshPrivateKey, { type: "ssh-ed25519" }>, stanza: Stanza): Buffer | null {
  const [, , share = ""] = stanza.args;
  if (stanza.args.length !== 3) throw new Error("an ssh-ed25519 stanza is malformed");
  const secret = montgomerySecret(key.seed);
  const shareBytes = decodeBase64(share, 32);
  const shared = sharedSecret(secret, shareBytes);
  return unwrapKey(ed25519WrappingKey(key.wire, shareBytes, publicOf(secret), shared), stanza.body);
}
