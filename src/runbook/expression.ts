import type { Json } from "../core/errors.ts";
import { type Expression, Language } from "../expression/expression.ts";

export { type Expression, ExpressionError, type Reference } from "../expression/expression.ts";

/** What an expression can see. Source: CEL (github.com/google/cel-spec), in GitHub's `${{ }}` brackets. */
export interface Scope {
  readonly inputs: Readonly<Record<string, Json>>;
  /** Finished steps only: an expression over another one is not known yet. */
  readonly steps: Readonly<Record<string, { readonly status: string; readonly output?: Json }>>;
  /** Environment variables of the process. */
  readonly env: Readonly<Record<string, string>>;
  /** The name of the environment: `production`. */
  readonly environment: string;
  readonly run: { readonly id: string };
}

export const language = new Language({
  inputs: "map",
  steps: "map",
  env: "map",
  environment: "string",
  run: "map",
});

/** Parses and type-checks. Throws ExpressionError with the place. */
export function compile(source: string): Expression {
  return language.compile(source);
}
