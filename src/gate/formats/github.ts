import { appendFile } from "node:fs/promises";
import { causeText } from "../../core/errors.ts";
import { shownOverride } from "../../run/gate-override.ts";
import { type GateResult, shownReason, symbols, verdictLine } from "../../run/gate-verdict.ts";
import type { CheckResult } from "../../run/measure-check.ts";
import { markdownReport } from "./markdown.ts";

/** Lines for a log of GitHub Actions: what is amiss as annotations, what passes as text. */
export function githubReport(result: GateResult): string {
  return [...result.checks.map((each) => line(result.gate, each)), verdictLine(result)].join("\n");
}

function line(gate: string, check: CheckResult): string {
  const { status, counts, id, override, why, remedy } = check;
  if (status === "pass") {
    const text = [shownReason(check), ...(override === undefined ? [] : [shownOverride(override)])].join(
      ", ",
    );
    return plain(`${symbols.pass} ${id}  ${text}`);
  }
  const message = [
    `${status}: ${shownReason(check)}`,
    ...(override === undefined ? [] : [shownOverride(override)]),
    ...(why === undefined ? [] : [`why: ${why}`]),
    ...(remedy === undefined ? [] : [`do: ${remedy}`]),
  ].join("\n");
  const command = counts === "fail" ? "error" : "warning";
  return `::${command} title=${escapeProperty(`Gate ${gate}: ${id}`)}::${escapeData(message)}`;
}

/** The runner takes `##[` for a command wherever it stands, and `::` at the beginning of a line. */
function plain(text: string): string {
  return text.replaceAll(/\s+/g, " ").replaceAll("##[", "## [");
}

/** As actions/toolkit does it. */
function escapeData(text: string): string {
  return text
    .replaceAll("%", "%25")
    .replaceAll("\r", "%0D")
    .replaceAll("\n", "%0A")
    .replaceAll("##[", "## [");
}

function escapeProperty(text: string): string {
  return escapeData(text).replaceAll(":", "%3A").replaceAll(",", "%2C");
}

/**
 * Adds the report to the page of the workflow's run, where `GITHUB_STEP_SUMMARY` names its file. What is wrong with that
 * file is returned, for the verdict does not depend on it.
 */
export async function addStepSummary(
  result: GateResult,
  file: string | undefined,
): Promise<string | undefined> {
  if (file === undefined || file === "") return undefined;
  try {
    await appendFile(file, `${markdownReport(result)}\n\n`);
    return undefined;
  } catch (error) {
    return `the step summary ${file} was not written: ${causeText(error) ?? "unknown reason"}`;
  }
}
