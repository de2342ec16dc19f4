import { formatDuration } from "../../core/duration.ts";
import { shownOverride } from "../../run/gate-override.ts";
import { type GateResult, shownReason, verdictLine } from "../../run/gate-verdict.ts";
import type { CheckResult } from "../../run/measure-check.ts";

const signs = { pass: "✅", warn: "⚠️", fail: "❌", unknown: "❓" } as const;

/** A gate as a comment on a pull request: a table, what to do about what is amiss, and the evidence folded away. */
export function markdownReport(result: GateResult): string {
  const { environment, verdict, checks } = result;
  const amiss = checks.filter((each) => each.status !== "pass" || each.override !== undefined);
  return [
    `## ${verdict === "go" ? signs.pass : signs.fail} ${inline(verdictLine(result))}`,
    "",
    `On ${inline(environment)}, ${result.endedAt}, by ${inline(result.actor)} with ops ${inline(result.version)}${result.run === undefined ? "" : `, run ${inline(result.run)}`}`,
    "",
    "| | check | result | limit | took |",
    "| --- | --- | --- | --- | --- |",
    ...checks.map(row),
    ...amiss.flatMap(advice),
    "",
    ...folded(result),
  ].join("\n");
}

function row(check: CheckResult): string {
  const limits = Object.entries(check.limits).map(([name, text]) => `${name} ${text}`);
  const cells = [
    signs[check.status],
    inline(check.id),
    [shownReason(check), ...(check.override === undefined ? [] : [shownOverride(check.override)])]
      .map(inline)
      .join("<br>"),
    inline(limits.join(", ")),
    formatDuration(check.durationMs),
  ];
  return `| ${cells.join(" | ")} |`;
}

function advice({ id, status, why, remedy }: CheckResult): string[] {
  if (status === "pass" || (why === undefined && remedy === undefined)) return [];
  return [
    "",
    `**${inline(id)}**`,
    ...(why === undefined ? [] : [`- Why: ${inline(why)}`]),
    ...(remedy === undefined ? [] : [`- Do: ${inline(remedy)}`]),
  ];
}

function folded({ configuration, checks }: GateResult): string[] {
  const evidence = checks.map(({ id, kind, value, startedAt, endedAt, evidence, rawDigest, kept }) => ({
    id,
    kind,
    value,
    startedAt,
    endedAt,
    evidence,
    rawDigest,
    kept,
  }));
  const text = JSON.stringify({ configuration, checks: evidence }, null, 2);
  const longest = Math.max(2, ...[...text.matchAll(/`+/g)].map(([run]) => run.length));
  const fence = "`".repeat(longest + 1);
  return ["<details><summary>Evidence</summary>", "", `${fence}json`, text, fence, "", "</details>"];
}

/** Text as it is, on one line of a table: nothing in it is Markdown or HTML. */
function inline(text: string): string {
  return text
    .replaceAll(/[\\`*_{}[\]()#+!|~]/g, "\\$&")
    .replaceAll("&", "&amp;")
    .replaceAll("<", "&lt;")
    .replaceAll(">", "&gt;")
    .replaceAll(/\r?\n|\r/g, "<br>");
}
