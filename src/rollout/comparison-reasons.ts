import { formatDuration } from "../core/duration.ts";
import { formatPercent } from "../core/percent.ts";
import type { Finding } from "./comparison.ts";
import type { Look } from "./judge.ts";

/** Why the comparison ends the canary, one clause with the numbers each. */
export function comparisonReasons({ version, share }: Look, findings: readonly Finding[]): string[] {
  return findings
    .filter(({ evidence, threshold }) => evidence >= threshold)
    .map((found) => `${version} ${clause(found)} at ${formatPercent(share)}`);
}

/** What is not enough to abort and too much to pass: evidence above the square root of what aborts (10 of 100). */
export function suspicions({ version }: Look, findings: readonly Finding[]): string[] {
  return findings
    .filter(({ evidence, threshold }) => evidence >= Math.sqrt(threshold))
    .map((found) => `perhaps ${version} ${clause(found)}`);
}

function clause({ of, limit, ratio, ...found }: Finding): string {
  const what = of === "errors" ? "fails" : `takes longer than ${formatDuration(limit ?? 0)}`;
  const often =
    ratio === null
      ? `${what}, and the others do not`
      : `${what} ${formatRatio(ratio)} as often as the others`;
  const counts = `${found.bad} of ${found.requests} requests against ${found.besideBad} of ${found.besideRequests}`;
  return `${often}: ${counts} (e-value ${formatEvidence(found.evidence)}, limit ${Number(found.threshold.toPrecision(3))})`;
}

export const formatRatio = (ratio: number) =>
  ratio >= 9.95 ? `${Math.round(ratio)} times` : `${ratio.toFixed(1)} times`;

/** Beyond a million nobody needs to know. */
export function formatEvidence(evidence: number): string {
  return evidence >= 1e6 ? "above a million" : String(Number(evidence.toPrecision(2)));
}
