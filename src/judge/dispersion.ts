import type { Outcomes } from "./e-process.ts";

/** What is learned is too small as often as too large; a quarter more keeps false aborts where they should be. */
const margin = 1.25;
/** With few bursts seen, what was learned is doubtful: that many of them count as unseen. Chosen by simulation (bench/judge). */
const doubt = 2;

/**
 * How much more the bad requests of a version vary from stretch to stretch than independent ones would: variance
 * over mean, at least 1. Errors that come in bursts (a retry storm, one slow database for a minute) have much more,
 * and a judge that took them for independent would see evidence in every burst.
 *
 * @param stretches of equal length, all of one healthy version, before anything is changed
 */
export function dispersionOf(stretches: readonly Outcomes[]): number {
  const served = stretches.filter(({ requests }) => requests > 0);
  const requests = served.reduce((total, each) => total + each.requests, 0);
  const bad = served.reduce((total, each) => total + each.bad, 0);
  if (served.length < 2 || bad === 0) return 1;
  const rate = bad / requests;
  const squares = served.reduce((total, each) => {
    const expected = each.requests * rate;
    return total + (each.bad - expected) ** 2 / expected;
  }, 0);
  const found = squares / (served.length - 1);
  // Independent errors vary that much by themselves (one standard deviation); it must not cost the judge its sight.
  const chance = Math.sqrt((2 + served.length / bad) / (served.length - 1));
  return found <= 1 + chance ? 1 : found * margin * (1 + doubt / Math.max(1, bad / found));
}
