import type { Encrypter, Recipient } from "age-encryption";
import { UsageError } from "../core/errors.ts";
import { PassphraseRecipient } from "./passphrase.ts";
import { sshRecipient } from "./ssh-recipient.ts";

/** Whom a file is encrypted to: public keys, or one passphrase, which by the age format is then the only one. */
export type AgeRecipients = { readonly publicKeys: readonly string[] } | { readonly passphrase: string };

/**
 * The library's encrypter with every recipient. Throws `E_RECIPIENT` where one of them is no public key and where there
 * is none at all.
 */
export function addRecipients(encrypter: Encrypter, recipients: AgeRecipients): void {
  if ("passphrase" in recipients) {
    encrypter.addRecipient(new PassphraseRecipient(recipients.passphrase));
    return;
  }
  if (recipients.publicKeys.length === 0) {
    throw new UsageError("E_RECIPIENT", "There is no age public key to encrypt to", {
      hint: 'add one under "recipients:" of the store in .opsrc; make a key pair with: age-keygen',
    });
  }
  for (const publicKey of recipients.publicKeys) {
    try {
      encrypter.addRecipient(recipientOf(publicKey));
    } catch (error) {
      throw new UsageError("E_RECIPIENT", `"${shortened(publicKey)}" is not an age public key`, {
        cause: error,
        hint: "make a key pair with: age-keygen; of SSH keys, ssh-ed25519 and ssh-rsa will do",
      });
    }
  }
}

function recipientOf(publicKey: string): string | Recipient {
  return isSshPublicKey(publicKey) ? sshRecipient(publicKey) : publicKey;
}

export function isSshPublicKey(publicKey: string): boolean {
  return /^(ssh-|ecdsa-|sk-)/.test(publicKey);
}

/** The key without the comment that may stand behind one of SSH: two are the same if these are. */
export function bareRecipient(publicKey: string): string {
  return isSshPublicKey(publicKey) ? publicKey.trim().split(/\s+/).slice(0, 2).join(" ") : publicKey;
}

/** Post-quantum keys have two thousand characters. */
function shortened(publicKey: string): string {
  return publicKey.length <= 80 ? publicKey : `${publicKey.slice(0, 60)}…${publicKey.slice(-10)}`;
}
