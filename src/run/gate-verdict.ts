import { z } from "zod";
import { formatDuration } from "../core/duration.ts";
import { ExitCode, OpsError } from "../core/errors.ts";
import { visible, visibleLine } from "../core/visible.ts";
import { type Override, shownOverride } from "./gate-override.ts";
import type { CheckResult } from "./measure-check.ts";
import { plainScreen } from "./screen.ts";

export const symbols = { pass: "✓", warn: "!", fail: "✗", unknown: "?" } as const;
const colors = { pass: "green", warn: "yellow", fail: "red", unknown: "magenta" } as const;

/** What a gate said, and all that it is said from. Times are UTC, ISO 8601. */
export type GateResult = {
  gate: string;
  environment: string;
  verdict: "go" | "no-go";
  startedAt: string;
  endedAt: string;
  durationMs: number;
  /** SHA-256 of the gate as it is configured. */
  configuration: string;
  actor: string;
  host: string;
  /** Of `ops`. */
  version: string;
  /** The run whose journal has it. */
  run?: string;
  checks: CheckResult[];
};

/** No-go as soon as one check counts as failed. */
export function verdict(about: Omit<GateResult, "verdict" | "checks">, checks: CheckResult[]): GateResult {
  const stops = checks.some((each) => each.counts === "fail");
  return { ...about, verdict: stops ? "no-go" : "go", checks };
}

/** Its status stays what it is; where it would stop the gate it warns. */
export function overridden(result: CheckResult, override: Override | undefined): CheckResult {
  if (override === undefined) return result;
  const { id, by, actor, host, reason, at, until } = override;
  return {
    ...result,
    counts: result.counts === "fail" ? "warn" : result.counts,
    override: { id, by, actor, host, reason, at, until },
  };
}

export function noGo(result: GateResult): OpsError {
  const failing = result.checks.filter((each) => each.counts === "fail");
  const named = failing.map(({ id, status, reason }) => {
    const said = visibleLine(reason);
    return status === "unknown" ? `${id} (unknown: ${said})` : `${id} (${said})`;
  });
  return new OpsError("E_NO_GO", `Gate ${result.gate} says no-go: ${named.join("; ")}`, {
    exitCode: ExitCode.noGo,
    retryable: false,
    hint: `mend what fails, then measure again with: ops gate check ${result.gate}`,
    details: result,
  });
}

/** The reason, why a check that is amiss does not stop the gate, and how old a result is that was kept. */
export function shownReason({ status, counts, required, reason, kept, override }: CheckResult): string {
  const stopsNot = counts !== "fail" && (status === "fail" || status === "unknown");
  const notes = [
    ...(kept === undefined ? [] : [`measured ${formatDuration(kept.ageMs)} ago`]),
    ...(required ? [] : stopsNot ? ["not required"] : []),
    ...(stopsNot && status === "unknown" ? ["unknown"] : []),
    ...(stopsNot && override === undefined ? [`counts as ${counts}`] : []),
  ];
  return notes.length === 0 ? reason : `${reason} (${notes.join(", ")})`;
}

/** `✗ health  status 503, expected 200-399`, and under it what a person should know. */
export function renderCheck(
  result: CheckResult,
  width = result.id.length,
  color = plainScreen.color,
): string {
  const indent = " ".repeat(width + 4);
  const inset = (text: string) => text.replaceAll("\n", `\n${indent}`);
  const sign = color[colors[result.status]](symbols[result.status]);
  const line = `${sign} ${result.id.padEnd(width)}  ${inset(shownReason(result))}`;
  const { override, why, remedy, status } = result;
  const below = [
    ...(override === undefined ? [] : [shownOverride(override)]),
    ...(status === "pass" || why === undefined ? [] : [`why: ${why}`]),
    ...(status === "pass" || remedy === undefined ? [] : [`do:  ${remedy}`]),
  ];
  return [line, ...below.map((each) => indent + inset(each))].join("\n");
}

/** One line for each check, with its numbers, and why it matters where it does not pass. */
export function renderGate(result: GateResult, color = plainScreen.color): string {
  const width = Math.max(...result.checks.map((each) => each.id.length));
  return [...result.checks.map((each) => renderCheck(each, width, color)), verdictLine(result)].join("\n");
}

/** `Gate pre-deploy: go (1 check overridden)` */
export function verdictLine({
  gate,
  verdict,
  checks,
}: Pick<GateResult, "gate" | "verdict" | "checks">): string {
  const count = checks.filter((each) => each.override !== undefined).length;
  const notes = count === 0 ? "" : ` (${count} ${count === 1 ? "check" : "checks"} overridden)`;
  return `Gate ${gate}: ${verdict}${notes}`;
}

/** What a gate said, in what a step gave or failed with; undefined where it is something else. */
export function gateResultIn(value: unknown): GateResult | undefined {
  const shape = z.object({
    gate: z.string(),
    verdict: z.enum(["go", "no-go"]),
    configuration: z.string(),
    checks: z.array(z.object({ id: z.string(), status: z.string(), reason: z.string() })).min(1),
  });
  return shape.safeParse(value).success ? (value as GateResult) : undefined;
}

/** Characters of one check's evidence; `--json` has all of it. */
const shownEvidence = 1000;

/** A gate for whoever looks into it later: what each check was measured by, when, and on what. */
export function renderEvidence(result: GateResult, color = plainScreen.color): string {
  const { gate, startedAt, configuration, actor, host, version } = result;
  const width = Math.max(...result.checks.map((each) => each.id.length));
  const indent = " ".repeat(width + 4);
  const lines = result.checks.map((each) => {
    const limits = Object.entries(each.limits).map(([name, text]) => `${name} ${text}`);
    const facts = [
      `${each.kind}, value ${JSON.stringify(each.value)}${limits.length === 0 ? "" : `, limits ${limits.join(", ")}`}`,
      `measured ${each.startedAt}, took ${formatDuration(each.durationMs)}${each.kept?.run === undefined ? "" : `, in run ${each.kept.run}`}`,
      ...(each.evidence === undefined ? [] : [`evidence ${cut(visible(JSON.stringify(each.evidence)))}`]),
      ...(each.rawDigest === undefined ? [] : [`read ${each.rawDigest}`]),
    ];
    return [renderCheck(each, width, color), ...facts.map((fact) => color.dim(indent + fact))].join("\n");
  });
  return [
    ...lines,
    verdictLine(result),
    color.dim(`  measured ${startedAt} by ${actor} on ${host}, ops ${version}`),
    color.dim(`  gate ${gate} as configured: ${configuration}`),
  ].join("\n");
}

function cut(text: string): string {
  return text.length > shownEvidence ? `${text.slice(0, shownEvidence)}…` : text;
}
