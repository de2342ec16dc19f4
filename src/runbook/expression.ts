import { Environment } from "@marcbachmann/cel-js";
import type { Json } from "../core/errors.ts";

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

const variables = { inputs: "map", steps: "map", env: "map", environment: "string", run: "map" } as const;

const cel = Object.entries(variables).reduce(
  (environment, [name, type]) => environment.registerVariable(name, type),
  new Environment({ unlistedVariablesAreDyn: false }),
);

/** An expression's mistake; `offset` counts UTF-16 units from the expression's first character. */
export class ExpressionError extends Error {
  readonly offset: number;

  constructor(message: string, offset: number) {
    super(message);
    this.name = "ExpressionError";
    this.offset = offset;
  }
}

export interface Reference {
  readonly variable: "inputs" | "steps" | "env" | "run";
  /** The key asked for: an input's, a step's or a variable's name. */
  readonly key: string;
  readonly offset: number;
}

export interface Expression {
  readonly source: string;
  readonly references: readonly Reference[];
  /** Throws ExpressionError. */
  evaluate(scope: Scope): Json;
}

/** Parses and type-checks. Throws ExpressionError with the place. */
export function compile(source: string): Expression {
  let evaluate: ReturnType<typeof cel.parse>;
  try {
    evaluate = cel.parse(source);
  } catch (error) {
    throw expressionError(error);
  }
  const check = evaluate.check();
  if (!check.valid) throw expressionError(check.error);
  return {
    source,
    references: references(evaluate.ast),
    evaluate: (scope) => {
      try {
        return fromCel(evaluate(toCel(scope) as Record<string, unknown>));
      } catch (error) {
        throw expressionError(error);
      }
    },
  };
}

function expressionError(error: unknown): ExpressionError {
  const { summary, message, range } = error as {
    summary?: string;
    message: string;
    range?: { start: number };
  };
  const text = (summary ?? message).split("\n")[0] ?? message;
  return new ExpressionError(
    text.replace(/^(No such key|Unknown variable): /, (_, what: string) => `${what.toLowerCase()}: `),
    range?.start ?? 0,
  );
}

/** Every `inputs.x`, `steps.x`, `env.x` (also `steps["x"]`) of the syntax tree. */
function references(node: unknown): Reference[] {
  if (Array.isArray(node)) return node.flatMap(references);
  if (typeof node !== "object" || node === null || !("op" in node)) return [];
  const { op, args, range } = node as unknown as { op: string; args: unknown; range?: { start: number } };
  if ((op === "." || op === "[]") && Array.isArray(args)) {
    const [object, property] = args as [{ op?: string; args?: unknown }, unknown];
    const key = typeof property === "string" ? property : literal(property);
    const variable = object?.op === "id" ? object.args : undefined;
    if (
      key !== undefined &&
      (variable === "inputs" || variable === "steps" || variable === "env" || variable === "run")
    ) {
      return [{ variable, key, offset: range?.start ?? 0 }];
    }
  }
  return references(args);
}

function literal(node: unknown): string | undefined {
  const { op, args } = (node ?? {}) as { op?: string; args?: unknown };
  return op === "value" && typeof args === "string" ? args : undefined;
}

/** Whole numbers become CEL's `int`, so that `inputs.count + 1` works. */
function toCel(value: unknown): unknown {
  if (typeof value === "number" && Number.isSafeInteger(value)) return BigInt(value);
  if (Array.isArray(value)) return value.map(toCel);
  if (typeof value === "object" && value !== null) {
    return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, toCel(each)]));
  }
  return value;
}

function fromCel(value: unknown): Json {
  if (typeof value === "bigint") return Number(value);
  if (Array.isArray(value)) return value.map(fromCel);
  if (value instanceof Map)
    return Object.fromEntries([...value].map(([key, each]) => [String(key), fromCel(each)]));
  if (typeof value === "object" && value !== null) {
    return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, fromCel(each)]));
  }
  if (value === null || typeof value === "string" || typeof value === "boolean" || typeof value === "number")
    return value;
  throw new ExpressionError(`gives a ${typeof value}, which is not data`, 0);
}
