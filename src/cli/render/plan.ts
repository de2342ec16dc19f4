import type { ChalkInstance } from "chalk";
import type { Json } from "../../core/errors.ts";
import type { Change } from "../../run/operation.ts";
import type { Plan, PlannedStep } from "../../runbook/plan.ts";

const signs = { create: "+", update: "~", delete: "-", run: ">" } as const;

/** What a run would change, step by step, in words. */
export function renderPlan(plan: Plan, color: ChalkInstance): string {
  const inputs = Object.entries(plan.inputs).map(([name, value]) => `${name}=${JSON.stringify(value)}`);
  const head = `${color.bold(plan.runbook)} on ${color.bold(plan.environment)}${inputs.length === 0 ? "" : color.dim(`  ${inputs.join(" ")}`)}`;
  const count = plan.steps.reduce((sum, step) => sum + step.changes.length, 0);
  const deferred = plan.steps.filter((step) => step.state === "deferred").length;
  const summary = `${count} ${count === 1 ? "change" : "changes"}${deferred === 0 ? "" : `, ${deferred} ${deferred === 1 ? "step" : "steps"} known on the way`}`;
  const locks = plan.targets.length === 0 ? "" : `, locks ${plan.targets.join(", ")}`;
  return [
    head,
    "",
    ...plan.steps.flatMap((step) => renderStep(step, color)),
    "",
    `${summary}${locks}`,
    color.dim(`plan ${plan.digest}`),
  ].join("\n");
}

function renderStep(step: PlannedStep, color: ChalkInstance): string[] {
  const title = `${step.name ?? step.id} ${color.dim(step.uses)}`;
  const mark = step.effect === "destroy" ? color.red(" destroys data") : "";
  const back =
    step.undo === "no way back"
      ? color.yellow(" no way back")
      : step.undo === "skipped"
        ? color.dim(" (undo: skip)")
        : "";
  if (step.state === "skipped")
    return [color.dim(`  ○ ${step.name ?? step.id} ${step.uses}: skipped, ${step.why ?? ""}`)];
  if (step.state === "deferred") return [`  ? ${title}${mark}${back}`, color.dim(`      ${step.why ?? ""}`)];
  const changes =
    step.changes.length > 0 ? step.changes.map((change) => `      ${renderChange(change, color)}`) : [];
  const points = step.restorePoints.map(
    (each) => `      ${color.cyan("first:")} a restore point of ${each}, to go back to`,
  );
  const notes = step.notes.map((note) => color.dim(`      ${note}`));
  const nothing =
    step.effect === "read"
      ? color.dim(" changes nothing")
      : step.changes.length === 0
        ? color.dim(" nothing to change")
        : "";
  return [`  ● ${title}${mark}${back}${nothing}`, ...points, ...changes, ...notes];
}

export function renderChange(change: Change, color: ChalkInstance): string {
  const paint = { create: color.green, update: color.yellow, delete: color.red, run: color.cyan }[
    change.action
  ];
  const values =
    change.from === undefined && change.to === undefined
      ? ""
      : color.dim(
          `: ${change.from === undefined ? "" : `${text(change.from)} → `}${text(change.to ?? null)}`,
        );
  return `${paint(signs[change.action])} ${change.target} ${change.summary}${values}`;
}

/** A value in a line: `blue 90, green 10` for a mapping, the beginning of a digest. */
function text(value: Json): string {
  if (typeof value === "string") return /^sha256:[0-9a-f]{64}$/.test(value) ? value.slice(0, 19) : value;
  if (value === null || typeof value !== "object") return JSON.stringify(value);
  if (Array.isArray(value)) return value.map(text).join(", ");
  return Object.entries(value)
    .map(([key, each]) => `${key} ${text(each ?? null)}`)
    .join(", ");
}
