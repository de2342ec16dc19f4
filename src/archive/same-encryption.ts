import type { StoreTarget } from "../config/environment.ts";
import { UsageError } from "../core/errors.ts";

/**
 * The store whose keys a backup is encrypted with, where it goes to several. Throws `E_RECIPIENT` where they differ:
 * a key that opens one copy would open, or not open, another one against the configuration.
 */
export function sameEncryption(targets: readonly StoreTarget[]): StoreTarget {
  const [first, ...others] = targets;
  if (first === undefined) throw new Error("there is no store");
  const keys = (each: StoreTarget) =>
    JSON.stringify([
      each.encryptionMethod,
      [...each.recipients].sort(),
      [each.passphrase, each.encryptionKey].map((secret) => secret?.shown),
      each.kms,
    ]);
  const different = others.find((each) => keys(each) !== keys(first));
  if (different !== undefined) {
    throw new UsageError(
      "E_RECIPIENT",
      `The stores ${first.name} and ${different.name} have different keys, but a backup is encrypted once`,
      { hint: "give both the same recipients (or other keys) in .opsrc, or make two backups" },
    );
  }
  return first;
}
