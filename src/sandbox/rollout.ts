import { createHash } from "node:crypto";

/**
 * Whether a user is in the first `percent` percent of a flag's rollout: an application's own reading of the rule in
 * docs/flags.md, as any reader of the flags has to have one.
 */
export function inRollout(flag: string, user: string, percent: number): boolean {
  const bucket = createHash("sha256").update(`${flag}:${user}`).digest().readUInt32BE(0) / 2 ** 32;
  return bucket * 100 < percent;
}
