import { formatDuration } from "../core/duration.ts";
import { formatPercent } from "../core/percent.ts";
import type { Failed } from "./bake.ts";
import type { Finding } from "./comparison.ts";
import { formatEvidence, formatRatio } from "./comparison-reasons.ts";
import type { StepResult } from "./step-result.ts";

/** How a step ended, with the numbers that it was judged by. */
export function verdictLine(
  version: string,
  verdict: "pass" | Failed["verdict"],
  result: StepResult,
): string {
  const share = formatPercent(result.share);
  return `${version} ${endings[verdict]} ${share}: ${[...figureParts(result), formatDuration(result.bakedMs)].join(", ")}`;
}

const endings = {
  pass: "passed",
  abort: "was aborted at",
  inconclusive: "has no verdict at",
  unpromoted: "was not promoted at",
};

/** `320 requests, 2 bad (0.6%)`, its p95 and what was compared, where there is something. */
export function figureParts({
  requests,
  errors,
  errorRate,
  p95,
  comparison,
}: Pick<StepResult, "requests" | "errors" | "errorRate" | "p95" | "comparison">): string[] {
  return [
    `${requests} requests, ${errors} bad (${errorRate.toFixed(1)}%)`,
    ...(p95 === null ? [] : [`p95 ${p95} ms`]),
    ...comparison.map(comparedPart),
  ];
}

function comparedPart({ of, ratio, evidence, threshold }: Finding): string {
  const often = ratio === null ? "none at the others" : `${formatRatio(ratio)} as often as the others`;
  return `${of} ${often} (e-value ${formatEvidence(evidence)}, limit ${Number(threshold.toPrecision(3))})`;
}
