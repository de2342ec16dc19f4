import { ExitCode, OpsError } from "../core/errors.ts";
import type { CheckResult } from "./measure-check.ts";

const symbols = { pass: "✓", warn: "!", fail: "✗", unknown: "?" } as const;

export type GateResult = { gate: string; verdict: "go" | "no-go"; checks: CheckResult[] };

/** No-go as soon as one check counts as failed. */
export function verdict(gate: string, checks: CheckResult[]): GateResult {
  return { gate, verdict: checks.some((each) => each.counts === "fail") ? "no-go" : "go", checks };
}

export function noGo(result: GateResult): OpsError {
  const failing = result.checks.filter((each) => each.counts === "fail");
  const named = failing.map((each) =>
    each.status === "unknown" ? `${each.id} (unknown: ${each.reason})` : `${each.id} (${each.reason})`,
  );
  return new OpsError("E_NO_GO", `Gate ${result.gate} says no-go: ${named.join("; ")}`, {
    exitCode: ExitCode.noGo,
    retryable: false,
    hint: `mend what fails, then measure again with: ops gate check ${result.gate}`,
    details: result,
  });
}

/** Why a check that is amiss does not stop the gate. */
function countsAs({ status, counts, required }: CheckResult): string {
  if (counts === "fail" || status === "pass" || status === "warn") return "";
  const optional = required ? "" : "not required, ";
  return status === "unknown"
    ? ` (${optional}unknown, counts as ${counts})`
    : ` (${optional}counts as ${counts})`;
}

/** One line for each check, with its numbers, and why it matters where it does not pass. */
export function renderGate(result: GateResult): string {
  const width = Math.max(...result.checks.map((each) => each.id.length));
  const lines = result.checks.map((each) => {
    const counted = countsAs(each);
    const line = `${symbols[each.status]} ${each.id.padEnd(width)}  ${each.reason}${counted}`;
    if (each.status === "pass") return line;
    const indent = " ".repeat(width + 4);
    const why = each.why === undefined ? [] : [`${indent}why: ${each.why}`];
    const remedy = each.remedy === undefined ? [] : [`${indent}do:  ${each.remedy}`];
    return [line, ...why, ...remedy].join("\n");
  });
  return [...lines, `Gate ${result.gate}: ${result.verdict}`].join("\n");
}
