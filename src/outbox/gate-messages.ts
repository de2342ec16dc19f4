import type { ErrorRecord, Json } from "../core/errors.ts";
import { visibleLine } from "../core/visible.ts";
import { shownOverride } from "../run/gate-override.ts";
import { type GateResult, gateResultIn, shownReason } from "../run/gate-verdict.ts";
import type { CheckResult } from "../run/measure-check.ts";
import type { Words } from "./run-messages.ts";

/** A go that rests on somebody's word, or on what could not be measured, says so. */
export function gateGo(subject: string, step: string, output: Json | undefined): Words {
  const result = gateResultIn(output);
  const { gate } = (output ?? {}) as { gate?: string };
  const checks = result?.checks ?? [];
  const overridden = checks.filter((each) => each.override !== undefined);
  const open = (status: CheckResult["status"]) =>
    checks.filter((each) => each.override === undefined && each.status === status);
  const notes = [
    noted(overridden, "overridden"),
    noted(open("fail"), "failed and not required"),
    noted(open("unknown"), "unknown"),
    noted(open("warn"), "with a warning"),
  ].filter((each) => each !== undefined);
  const count = result === undefined ? "Its checks were" : counted(checks.length);
  const lines = checks
    .filter(({ status }) => status !== "pass")
    .map((each) => `- ${each.id}: ${[visibleLine(shownReason(each)), ...saidAgainst(each)].join("; ")}`);
  return {
    event: "gate.go",
    incident: null,
    title: `gate ${gate ?? step} says go for ${subject}${notes.length === 0 ? "" : ` (${notes.join(", ")})`}`,
    text: [`${count} measured${lines.length === 0 ? "." : ":"}`, ...lines].join("\n"),
    step,
  };
}

/** Words for a no-go that is nobody's fault: all that stops the gate are questions that nobody has answered. */
export function gateWaits(subject: string, step: string, error: ErrorRecord): Words | undefined {
  const questions = unanswered(error);
  if (questions === undefined) return undefined;
  const { gate, open } = questions;
  const reasons = open.map(({ reason }) => visibleLine(reason));
  const command = commandIn(reasons[0]);
  return {
    event: "run.waiting",
    incident: null,
    title: `${subject} waits for a person: gate ${gate} has ${open.length === 1 ? "a question" : `${open.length} questions`} without an answer`,
    text: [...reasons.map((each) => `- ${each}`), "Then measure the gate again, or resume the run."].join(
      "\n",
    ),
    step,
    error,
    ...(command === undefined ? {} : { command }),
  };
}

/** Whether a run ended for want of answers alone. */
export function endedUnanswered(error: ErrorRecord): boolean {
  return unanswered(error) !== undefined;
}

function unanswered(error: ErrorRecord): { readonly gate: string; readonly open: CheckResult[] } | undefined {
  const result: GateResult | undefined = error.code === "E_NO_GO" ? gateResultIn(error.details) : undefined;
  const open = (result?.checks ?? []).filter(({ counts }) => counts === "fail");
  const areQuestions = open.every(({ kind, status }) => kind === "manual" && status === "unknown");
  return result === undefined || open.length === 0 || !areQuestions ? undefined : { gate: result.gate, open };
}

function commandIn(reason: string | undefined): string | undefined {
  return /\bops gate answer .*$/.exec(reason ?? "")?.[0];
}

function noted(checks: readonly unknown[], what: string): string | undefined {
  return checks.length === 0 ? undefined : `${checks.length} ${what}`;
}

function counted(count: number): string {
  return `${count} ${count === 1 ? "check was" : "checks were"}`;
}

function saidAgainst({ override }: CheckResult): string[] {
  return override === undefined ? [] : [visibleLine(shownOverride(override))];
}
