import type { ChalkInstance } from "chalk";
import { formatDuration } from "../../core/duration.ts";
import { gateResultIn, renderEvidence, renderGate } from "../../run/gate-verdict.ts";
import { shownRestorePoint } from "../../run/restore-point.ts";
import type { RunState, RunStatus, StepState } from "../../run/run-state.ts";
import { renderErrorRecord } from "./error.ts";

/** How a run ended, why, and what to type next. */
export function renderOutcome(state: RunState, color: ChalkInstance): string {
  const took = between(state.createdAt, state.lastAt);
  const lines = [
    `${paintStatus(state.status, color)} ${state.request.name} on ${state.request.environment} in ${took}, run ${color.bold(state.id)}`,
  ];
  const failed = [...state.steps.values()].filter((step) => step.status === "failed").map((step) => step.id);
  if (state.status === "done" && failed.length > 0) {
    lines.push(
      `  ${color.yellow("!")} went on after ${failed.length === 1 ? "a step" : `${failed.length} steps`} failed: ${failed.join(", ")}`,
    );
  }
  if (state.error !== undefined && state.request.kind === "runbook")
    lines.push(indent(renderErrorRecord(state.error, color)));
  const gate = gateResultIn(state.error?.details);
  if (gate !== undefined) lines.push(indent(renderGate(gate, color)));
  if (state.reason !== undefined) lines.push(`  ${color.red("needs a person:")} ${state.reason}`);
  for (const each of [...state.steps.values()].flatMap((step) => step.restorePoints ?? [])) {
    lines.push(`  ${shownRestorePoint(each)}`);
  }
  return [...lines, ...nextCommands(state).map((each) => `  ${color.cyan("→")} ${each}`)].join("\n");
}

/** The clock may have been set back in between. */
function between(from: string, to: string): string {
  return formatDuration(Math.max(0, Date.parse(to) - Date.parse(from)));
}

/** A whole run, step by step. */
export function renderRun(state: RunState, held: string | undefined, color: ChalkInstance): string {
  const { request } = state;
  const head = [
    `${paintStatus(shownStatus(state, held), color)} ${color.bold(request.name)} on ${request.environment}`,
    `run ${state.id}, begun ${state.createdAt} by ${request.actor}, ops ${request.version}`,
    ...(request.file === undefined ? [] : [`runbook ${request.file}`]),
    ...(Object.keys(request.inputs).length === 0 ? [] : [`inputs ${JSON.stringify(request.inputs)}`]),
    color.dim(`plan ${request.planDigest}`),
    ...(held === undefined ? [] : [`held by ${held}`]),
  ];
  const steps = [...state.steps.values()].flatMap((step) => renderStep(step, color));
  const error = state.error === undefined ? [] : ["", renderErrorRecord(state.error, color)];
  const commands = held === undefined ? nextCommands(state).filter((each) => !each.startsWith(lookAt)) : [];
  const next = commands.map((each) => `${color.cyan("→")} ${each}`);
  return [...head, "", ...steps, ...error, ...(next.length === 0 ? [] : ["", ...next])].join("\n");
}

/** `running` without a living holder is a crash. */
export function shownStatus(state: RunState, held: string | undefined): RunStatus | "crashed" {
  return held === undefined && (state.status === "running" || state.status === "rolling-back")
    ? "crashed"
    : state.status;
}

export function paintStatus(status: RunStatus | "crashed", color: ChalkInstance): string {
  switch (status) {
    case "done":
      return color.green("✔ done");
    case "running":
      return color.cyan("● running");
    case "rolling-back":
      return color.yellow("↩ rolling back");
    case "rolled-back":
      return color.yellow("↩ rolled back");
    case "interrupted":
      return color.yellow("‖ interrupted");
    case "failed":
      return color.red("✖ failed");
    case "crashed":
      return color.red("✖ crashed");
    case "needs-person":
      return color.red("✖ needs a person");
  }
}

function renderStep(step: StepState, color: ChalkInstance): string[] {
  const took = step.endedAt === undefined ? "" : color.dim(` ${between(step.startedAt, step.endedAt)}`);
  const tries = step.attempt > 1 ? color.dim(` (${step.attempt} attempts)`) : "";
  const sign = {
    done: color.green("✔"),
    failed: color.red("✖"),
    running: color.cyan("●"),
    skipped: color.dim("○"),
  }[step.status];
  const lines = [
    `  ${sign} ${step.id}${took}${tries}${step.why === undefined ? "" : color.dim(` ${step.why}`)}`,
  ];
  for (const each of step.restorePoints ?? []) lines.push(`      ${shownRestorePoint(each)}`);
  if (step.error !== undefined) lines.push(indent(renderErrorRecord(step.error, color), "      "));
  const gate = gateResultIn(step.error?.details ?? step.output);
  if (gate !== undefined) lines.push(indent(renderEvidence(gate, color), "      "));
  if (step.undo?.status === "ended") {
    const what = { true: "taken back", kept: "kept", false: color.red("no way back") }[
      String(step.undo.undone)
    ];
    lines.push(`      ↩ ${what}${step.undo.note === undefined ? "" : color.dim(`: ${step.undo.note}`)}`);
  }
  if (step.undo?.status === "failed")
    lines.push(
      `      ${color.red("↩ could not be taken back")}`,
      indent(renderErrorRecord(step.undo.error, color), "        "),
    );
  if (step.undo?.status === "running") lines.push("      ↩ being taken back");
  return lines;
}

const lookAt = "look at it:";

function nextCommands(state: RunState): string[] {
  const { id } = state;
  const resume = `go on: ops runs resume ${id}`;
  const back = `take it back: ops runs rollback ${id}`;
  const look = `${lookAt} ops runs show ${id}`;
  switch (state.status) {
    case "done":
      return [];
    case "rolled-back":
      return [look];
    case "needs-person":
      return [look, ...needsPersonCommands(state)];
    case "rolling-back":
      return [`go on with the roll-back: ops runs resume ${id}`];
    case "failed":
      return [...state.steps.values()].some((step) => step.applied) ? [look, resume, back] : [look];
    case "running":
    case "interrupted":
      return [resume, back];
  }
}

function needsPersonCommands(state: RunState): string[] {
  const steps = [...state.steps.values()];
  const stuck = steps.filter((step) => step.undo?.status === "ended" && step.undo.undone === false);
  const failed = steps.filter((step) => step.undo?.status === "failed");
  const accept = [...failed, ...stuck].map((step) => step.id).join(" ");
  return [
    ...(failed.length === 0 ? [] : [`when mended: ops runs rollback ${state.id}`]),
    `when dealt with by hand: ops runs rollback ${state.id} --accept ${accept}`,
  ];
}

function indent(text: string, by = "  "): string {
  return text
    .split("\n")
    .map((line) => by + line)
    .join("\n");
}
