import { createHash } from "node:crypto";

/**
 * Whether a user is in the first `percent` percent of a flag's rollout. The same user and flag give the same answer
 * in every process, and who is in at 10% is still in at 50%.
 */
export function inRollout(flag: string, user: string, percent: number): boolean {
  const bucket = createHash("sha256").update(`${flag}/${user}`).digest().readUInt32BE(0) / 2 ** 32;
  return bucket * 100 < percent;
}
