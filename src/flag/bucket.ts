import { createHash } from "node:crypto";

/**
 * Where a user stands in a flag's rollout: at least 0, below 100. The first four bytes of SHA-256 over
 * `FLAG:USER` (UTF-8), read as a big-endian number and scaled: `n / 2^32 * 100`. It depends on nothing else, so
 * raising a rollout only adds users, and the same user stands elsewhere in another flag. Other readers of the flags
 * must compute the same number; docs/flags.md has examples to test against.
 */
export function bucket(flag: string, user: string): number {
  const hash = createHash("sha256").update(`${flag}:${user}`, "utf8").digest();
  return (hash.readUInt32BE(0) / 2 ** 32) * 100;
}

/** Whether a user has a flag: it is on, and the rollout reaches the user's bucket. */
export function evaluate(
  flag: { readonly name: string; readonly enabled: boolean; readonly rollout: number },
  user: string,
): boolean {
  return flag.enabled && bucket(flag.name, user) < flag.rollout;
}
