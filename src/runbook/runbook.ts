import type { Json } from "../core/errors.ts";
import type { Operation } from "../run/operation.ts";
import type { InputSettings, StepSettings } from "./schema.ts";

/** A step after checking: its operation is known, its settings are valid. */
export interface Step extends StepSettings {
  readonly operation: Operation;
}

/** Steps that run at the same time; a step of its own is a stage of one. */
export type Stage = readonly Step[];

/** A valid runbook. */
export interface Runbook {
  readonly name: string;
  readonly description: string | undefined;
  readonly kind: "runbook" | "operation";
  /** As written; journaled, so that a resume runs what was begun. */
  readonly text: string;
  readonly file: string | undefined;
  readonly inputs: Readonly<Record<string, InputSettings>>;
  readonly locks: readonly string[];
  readonly onFailure: "stop" | "rollback" | "continue";
  readonly stages: readonly Stage[];
}

export function steps(runbook: Runbook): Step[] {
  return runbook.stages.flat();
}

/** A single operation given as a command, as a runbook of one step, so that it is planned, journaled and resumed alike. */
export function singleOperation(operation: Operation, input: Record<string, Json>): Runbook {
  const id = operation.name.replaceAll(".", "-");
  const text = JSON.stringify({ name: id, steps: [{ id, uses: operation.name, with: input }] });
  return {
    name: operation.name,
    description: undefined,
    kind: "operation",
    text,
    file: undefined,
    inputs: {},
    locks: [],
    onFailure: "stop",
    stages: [[{ id, uses: operation.name, with: input, undo: "auto", operation }]],
  };
}
