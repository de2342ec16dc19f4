import { Decrypter, type Identity, identityToRecipient } from "age-encryption";
import { UsageError } from "../core/errors.ts";
import { PassphraseIdentity } from "./passphrase.ts";
import { sshIdentity } from "./ssh-identity.ts";
import { parseSshPublicKey, sshText } from "./ssh-key.ts";
import { looksLikePem, parseSshPrivateKey, type SshPrivateKey } from "./ssh-private-key.ts";

/** What opens age files: the text of identity files, and a passphrase. */
export interface AgeIdentities {
  /** Comments and `AGE-SECRET-KEY-…` lines (X25519 or post-quantum), or SSH private keys in PEM; also both. */
  readonly identity?: string;
  readonly passphrase?: string;
}

/** Throws `E_IDENTITY`, without the text, where it holds no key or something else. */
export function decrypterFor({ identity, passphrase }: AgeIdentities): Decrypter {
  const decrypter = new Decrypter();
  if (identity !== undefined) {
    const { ageKeys, sshKeys } = parseIdentity(identity);
    for (const key of ageKeys) readable(() => decrypter.addIdentity(key));
    for (const key of sshKeys) decrypter.addIdentity(sshIdentity(key));
  }
  if (passphrase !== undefined) decrypter.addIdentity(new PassphraseIdentity(passphrase) satisfies Identity);
  return decrypter;
}

/**
 * The public keys (`age1…`, `ssh-ed25519 …`) of the private keys in an identity file. Throws `E_IDENTITY`, without the
 * text of the file, where it holds none or something else.
 */
export async function recipientsOf(identity: string): Promise<string[]> {
  const { ageKeys, sshKeys } = parseIdentity(identity);
  const age = await Promise.all(
    ageKeys.map((key) =>
      identityToRecipient(key).catch(() => {
        throw unreadable();
      }),
    ),
  );
  return [...age, ...sshKeys.map((key) => sshText(parseSshPublicKey(key.wire)))];
}

interface ParsedIdentity {
  readonly ageKeys: readonly string[];
  readonly sshKeys: readonly SshPrivateKey[];
}

const pemBlock = /-----BEGIN [A-Z ]+-----[\s\S]*?-----END [A-Z ]+-----/g;

function parseIdentity(text: string): ParsedIdentity {
  const blocks = looksLikePem(text) ? (text.match(pemBlock) ?? []) : [];
  const ageKeys = (looksLikePem(text) ? text.replaceAll(pemBlock, "") : text)
    .split(/\r?\n/)
    .map((line) => line.trim())
    .filter((line) => line !== "" && !line.startsWith("#"));
  if (ageKeys.length + blocks.length === 0) throw unreadable();
  return { ageKeys, sshKeys: blocks.map(parseSshPrivateKey) };
}

function readable<T>(work: () => T): T {
  try {
    return work();
  } catch {
    // The package's message may quote the key.
    throw unreadable();
  }
}

function unreadable(): UsageError {
  return new UsageError("E_IDENTITY", "The identity is not an age private key", {
    hint:
      'it is a file made by age-keygen, with a line that begins with "AGE-SECRET-KEY-", or an unencrypted SSH ' +
      "private key (ssh-ed25519 or ssh-rsa)",
  });
}
