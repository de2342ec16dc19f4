import type { Environment } from "../config/environment.ts";
import { canonicalJson, digest } from "../core/digest.ts";
import { type Json, UsageError } from "../core/errors.ts";
import { holdsSecret, redactUrlPasswords, secretName } from "../core/redaction.ts";
import type { OperationContext } from "../run/context.ts";
import type { Change, Effect } from "../run/operation.ts";
import { ExpressionError, type Reference, type Scope } from "./expression.ts";
import { planRestorePoints } from "./restore-points.ts";
import { type Runbook, type Step, steps } from "./runbook.ts";
import { readInput } from "./step-input.ts";
import { parseCondition, referencesIn, render } from "./template.ts";

export interface PlannedStep {
  readonly id: string;
  readonly name: string | undefined;
  readonly uses: string;
  readonly effect: Effect;
  /** `deferred`: what it changes is known when the steps before it have run. */
  readonly state: "planned" | "deferred" | "skipped";
  /** Why it is deferred or skipped. */
  readonly why: string | undefined;
  readonly changes: readonly Change[];
  /** What stays, and why; the digest does not cover it. */
  readonly notes: readonly string[];
  /** Databases of which a restore point is made first. */
  readonly restorePoints: readonly string[];
  /** What a roll-back does with it. */
  readonly undo: "automatic" | "skipped" | "not needed" | "no way back";
}

export interface Plan {
  readonly runbook: string;
  readonly environment: string;
  readonly inputs: Readonly<Record<string, Json>>;
  readonly steps: readonly PlannedStep[];
  /** What the run locks. */
  readonly targets: readonly string[];
  /** Of all of the above and the runbook's text; a run is bound to it. */
  readonly digest: string;
}

export interface PlanRequest {
  readonly runbook: Runbook;
  readonly environment: Environment;
  readonly inputs: Readonly<Record<string, Json>>;
  readonly variables: Readonly<Record<string, string>>;
  /** Ids of the steps left out. */
  readonly unselected: ReadonlySet<string>;
  /** Present where no restore points are to be made. */
  readonly withoutRestorePoints?: true | undefined;
  readonly context: OperationContext;
  /** What was seen a moment ago, by the step's id: it is not looked at again. */
  readonly observed?: ReadonlyMap<string, Json>;
}

/** What a run would change, from what is there now. Changes nothing. */
export async function planRunbook(request: PlanRequest): Promise<Plan> {
  const { runbook, environment, inputs } = request;
  const planned: PlannedStep[] = [];
  const targets = new Set(runbook.locks);
  for (const step of steps(runbook)) {
    const { targets: own, ...plan } = await planStep(step, request);
    planned.push(plan);
    for (const target of own) targets.add(target);
  }
  // Only now: looking has revealed the secrets.
  refusePlainSecrets(request);
  const content = {
    runbook: digest(runbook.text),
    environment: environment.name,
    inputs: { ...inputs },
    steps: planned.map(({ notes: _, ...step }) => JSON.parse(JSON.stringify(step)) as Json),
  };
  return {
    runbook: runbook.name,
    environment: environment.name,
    inputs,
    steps: planned,
    targets: [...targets],
    digest: digest(canonicalJson(content)),
  };
}

/** The environment variables that the runbook's expressions use, with their values. Throws `E_VARIABLE`. */
export function usedVariables(
  runbook: Runbook,
  all: Readonly<Record<string, string | undefined>>,
): Record<string, string> {
  const used = steps(runbook)
    .flatMap((step) =>
      referencesIn([step.with, step.name], typeof step.if === "string" ? step.if : undefined),
    )
    .filter((reference) => reference.variable === "env");
  return Object.fromEntries(
    used.map(({ key }) => {
      const value = all[key];
      if (value === undefined) {
        throw new UsageError("E_VARIABLE", `The runbook uses env.${key}, which is not set`, {
          hint: `set it: export ${key}=…`,
        });
      }
      if (secretName.test(key)) {
        throw new UsageError("E_PLAIN_SECRET", `The runbook uses env.${key}, which is named as a secret`, {
          hint: `expressions are journaled; hand it over by reference: env:${key}, or "variables: [${key}]" of shell.run`,
        });
      }
      return [key, value];
    }),
  );
}

async function planStep(
  step: Step,
  request: PlanRequest,
): Promise<PlannedStep & { targets: readonly string[] }> {
  const { operation } = step;
  const base = {
    id: step.id,
    name: step.name,
    uses: step.uses,
    effect: operation.effect,
    changes: [],
    notes: [],
    restorePoints: [],
    targets: [],
    why: undefined,
    undo: undoOf(step),
  };
  if (request.unselected.has(step.id)) return { ...base, state: "skipped", why: "not selected" };
  const scope: Scope = {
    inputs: request.inputs,
    steps: {},
    env: request.variables,
    environment: request.environment.name,
    run: { id: "" },
  };
  const before = stepsBefore(step);
  const missing = before.find((id) => request.unselected.has(id));
  if (missing !== undefined) throw needsStep(step, missing);
  const waits = waitsFor(step, before);
  if (waits !== undefined) return { ...base, state: "deferred", why: waits };
  try {
    if (
      step.if === false ||
      (typeof step.if === "string" && render(parseCondition(step.if), scope) === false)
    ) {
      return { ...base, state: "skipped", why: `if: ${String(step.if)} is false` };
    }
    const input = readInput(step, scope);
    const targets = operation.targets?.(input, request.environment) ?? [];
    const seen = request.observed?.get(step.id) ?? (await operation.observe(request.context, input));
    const changes = operation.plan(seen, input);
    const points =
      changes.length === 0 || request.withoutRestorePoints === true
        ? { databases: [], notes: [] }
        : await planRestorePoints(operation, input, request.context);
    const notes = [...(operation.notes?.(seen, input) ?? []), ...points.notes];
    return { ...base, state: "planned", changes, notes, restorePoints: points.databases, targets };
  } catch (error) {
    if (error instanceof ExpressionError) throw expressionFailed(step, error);
    throw error;
  }
}

export function expressionFailed(step: Step, error: ExpressionError): UsageError {
  return new UsageError("E_EXPRESSION", `An expression of step ${step.id} has no value: ${error.message}`);
}

function undoOf(step: Step): PlannedStep["undo"] {
  if (step.operation.effect === "read") return "not needed";
  if (step.undo === "skip") return "skipped";
  return step.operation.undo === undefined ? "no way back" : "automatic";
}

/** Ids of the steps that a step's expressions ask about. */
function stepsBefore(step: Step): string[] {
  const references = referencesOf(step).filter((each) => each.variable === "steps");
  return [...new Set(references.map((each) => each.key))];
}

function referencesOf(step: Step): Reference[] {
  return referencesIn(step.with, typeof step.if === "string" ? step.if : undefined);
}

function needsStep(step: Step, missing: string): UsageError {
  return new UsageError(
    "E_STEP_NEEDED",
    `Step ${step.id} needs the result of step ${missing}, which is left out`,
    {
      hint: `leave out ${step.id} too, or select ${missing}`,
    },
  );
}

/** Why a step's input cannot be known before the run; undefined where it can. */
function waitsFor(step: Step, before: readonly string[]): string | undefined {
  if (before.length > 0)
    return `known when ${before.join(" and ")} ${before.length === 1 ? "has" : "have"} run`;
  return referencesOf(step).some((each) => each.variable === "run")
    ? "known when the run has begun"
    : undefined;
}

/** The journal keeps the text and the inputs so that a run can be resumed; a secret in them could not be kept. */
function refusePlainSecrets({ runbook, inputs, variables }: PlanRequest): void {
  const secret = (value: unknown) =>
    holdsSecret(value) || redactUrlPasswords(JSON.stringify(value)) !== JSON.stringify(value);
  const place = secret(runbook.text)
    ? "its text"
    : secret({ ...inputs, ...variables })
      ? "its inputs"
      : undefined;
  if (place === undefined) return;
  throw new UsageError(
    "E_PLAIN_SECRET",
    `${runbook.name} holds a secret in ${place}, where the journal would have to keep it`,
    { hint: "use a reference: env:NAME, file:PATH or cmd:COMMAND" },
  );
}
