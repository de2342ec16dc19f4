import { identityToRecipient } from "age-encryption";
import { UsageError } from "../core/errors.ts";

/**
 * The public keys (`age1…`) of the private keys in an identity file. Throws `E_IDENTITY`, without the text of the
 * file, where it holds none or something else.
 */
export async function recipientsOf(identity: string): Promise<string[]> {
  const keys = identity
    .split(/\r?\n/)
    .map((line) => line.trim())
    .filter((line) => line !== "" && !line.startsWith("#"));
  try {
    if (keys.length === 0) throw new Error("it holds no key");
    return await Promise.all(keys.map((key) => identityToRecipient(key)));
  } catch {
    // The package's message may quote the key.
    throw new UsageError("E_IDENTITY", "The identity is not an age private key", {
      hint: 'it is a file made by age-keygen, with a line that begins with "AGE-SECRET-KEY-1"',
    });
  }
}
