import { suggestion } from "../core/suggestion.ts";
import type { Path } from "../core/yaml-source.ts";
import { ExpressionError, type Reference } from "./expression.ts";
import { expressions, parseCondition, parseTemplate, texts } from "./template.ts";

/** What the expressions of a step can refer to. */
export interface Surroundings {
  /** The step's own id. */
  readonly id: string;
  /** Names of the runbook's inputs. */
  readonly inputs: readonly string[];
  /** Ids of the steps that are certain to have ended when this one begins. */
  readonly before: ReadonlySet<string>;
  /** Ids of the steps that run at the same time. */
  readonly beside: readonly string[];
  /** Ids of all steps, to tell "comes later" from "does not exist". */
  readonly all: readonly string[];
}

export interface ExpressionMistake {
  /** Of the text that holds the expression, within the step. */
  readonly path: Path;
  /** Into that text, in UTF-16 units; undefined where the whole of it is the mistake. */
  readonly offset: number | undefined;
  readonly message: string;
  readonly hint?: string | undefined;
}

/** Everything that is wrong with the expressions of a step as it is written. */
export function expressionMistakes(
  step: Readonly<Record<string, unknown>>,
  surroundings: Surroundings,
): ExpressionMistake[] {
  return texts(step).flatMap(({ path, text }): ExpressionMistake[] => {
    const condition = path.length === 1 && path[0] === "if";
    if (!condition && !text.includes("${{")) return [];
    if (!condition && path[0] !== "with" && path[0] !== "name") {
      const hint = 'expressions are for "with", "if" and "name"; write the value itself';
      return [{ path, offset: undefined, message: `"${path.join(".")}" cannot hold an expression`, hint }];
    }
    try {
      const template = condition ? parseCondition(text) : parseTemplate(text);
      return expressions(template).flatMap(({ expression, offset }) =>
        expression.references.flatMap((reference) =>
          referenceMistakes(reference, surroundings).map((each) => ({
            ...each,
            path,
            offset: offset + reference.offset,
          })),
        ),
      );
    } catch (error) {
      if (!(error instanceof ExpressionError)) throw error;
      return [{ path, offset: error.offset, message: error.message, hint: error.hint }];
    }
  });
}

function referenceMistakes(
  { variable, key }: Reference,
  { id, inputs, before, beside, all }: Surroundings,
): { readonly message: string; readonly hint: string }[] {
  if (variable === "inputs" && !inputs.includes(key)) {
    const hint =
      inputs.length === 0 ? `add it under "inputs:": ${key}: { type: string }` : suggestion(key, inputs);
    return [{ message: `there is no input "${key}"`, hint }];
  }
  if (variable === "run" && key !== "id") return [{ message: `a run has no "${key}"`, hint: "write run.id" }];
  if (variable !== "steps" || before.has(key)) return [];
  const hint =
    before.size === 0 ? "no step comes before this one" : `steps before this one: ${[...before].join(", ")}`;
  if (key === id) return [{ message: "a step cannot use its own output", hint }];
  if (beside.includes(key))
    return [
      {
        message: `step "${key}" runs at the same time as this one`,
        hint: "move one of them out of the group",
      },
    ];
  if (all.includes(key))
    return [{ message: `step "${key}" comes later and has not ended when this one begins`, hint }];
  return [{ message: `there is no step "${key}"`, hint: before.size === 0 ? hint : suggestion(key, before) }];
}
