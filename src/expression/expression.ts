import { Environment } from "@marcbachmann/cel-js";
import type { Json } from "../core/errors.ts";
import { nearest } from "../core/suggestion.ts";

/** The variables that expressions may use: `map` has keys, `string` is a text. */
export type Variables = Readonly<Record<string, "map" | "string">>;

/** An expression's mistake; `offset` counts UTF-16 units from the expression's first character. */
export class ExpressionError extends Error {
  readonly offset: number;
  /** What to write instead. */
  readonly hint: string | undefined;

  constructor(message: string, offset: number, hint?: string) {
    super(message);
    this.name = "ExpressionError";
    this.offset = offset;
    this.hint = hint;
  }
}

export interface Reference {
  /** A variable with keys. */
  readonly variable: string;
  /** The key asked for: an input's, a step's or a variable's name. */
  readonly key: string;
  /** Where the key stands, in UTF-16 units from the expression's first character. */
  readonly offset: number;
}

export interface Expression {
  readonly source: string;
  readonly references: readonly Reference[];
  /** Gives the variables their values. Throws ExpressionError. */
  evaluate(scope: object): Json;
}

/** CEL (github.com/google/cel-spec) over some variables. */
export class Language {
  private readonly variables: Variables;
  private readonly cel: Environment;

  constructor(variables: Variables) {
    this.variables = variables;
    this.cel = Object.entries(variables).reduce(
      (environment, [name, type]) => environment.registerVariable(name, type),
      new Environment({ unlistedVariablesAreDyn: false }),
    );
  }

  /** Parses and type-checks. Throws ExpressionError with the place. */
  compile(source: string): Expression {
    return compile(source, this.cel, this.variables);
  }
}

function compile(source: string, cel: Environment, variables: Variables): Expression {
  let evaluate: ReturnType<typeof cel.parse>;
  try {
    evaluate = cel.parse(source);
  } catch (error) {
    throw expressionError(error, variables);
  }
  const check = evaluate.check();
  if (!check.valid) throw expressionError(check.error, variables);
  return {
    source,
    references: references(evaluate.ast, variables).map((each) => ({
      ...each,
      offset: Math.max(each.offset, source.indexOf(each.key, each.offset + each.variable.length)),
    })),
    evaluate: (scope) => {
      try {
        return fromCel(evaluate(toCel(scope) as Record<string, unknown>));
      } catch (error) {
        throw expressionError(error, variables);
      }
    },
  };
}

function expressionError(error: unknown, variables: Variables): ExpressionError {
  const { summary, message, range } = error as {
    summary?: string;
    message: string;
    range?: { start: number };
  };
  const text = (summary ?? message).split("\n")[0] ?? message;
  const [said, hint] = inWords(text, variables);
  return new ExpressionError(said, range?.start ?? 0, hint);
}

/** CEL's own message, for somebody who does not know its grammar, and what to write instead. */
function inWords(text: string, variables: Variables): [message: string, hint?: string] {
  const of = (pattern: RegExp) => pattern.exec(text)?.slice(1) ?? [];
  const [unknown] = of(/^Unknown variable: (.+)/);
  if (unknown !== undefined)
    return [`there is no variable "${unknown}"`, suggestVariable(unknown, variables)];
  const [key] = of(/^No such key: (.+)/);
  if (key !== undefined) return [`no such key: ${key}`];
  const [call] = of(/^found no matching overload for '(.+)'/);
  if (call !== undefined) {
    return [
      `there is no function ${call}`,
      "see the functions of CEL: size, contains, startsWith, matches, int, …",
    ];
  }
  const [left, operator, right] = of(/^no such overload: (\S+) (\S+) (\S+)/);
  if (left !== undefined) {
    const convert =
      left === "string" && right === "int"
        ? "put the number in quotes, or convert: string(…)"
        : "convert one side: string(…), int(…)";
    return [`"${operator}" does not work between ${left} and ${right}`, convert];
  }
  if (/^Unexpected token: EOF|got EOF$/.test(text)) {
    const [wanted = ""] = of(/^Expected (\w+)/);
    const sign = { RPAREN: ")", RBRACKET: "]", RBRACE: "}", COLON: ":" }[wanted];
    return ["the expression ends too early", sign === undefined ? undefined : `"${sign}" is missing`];
  }
  if (text === "Unexpected character: =") return ['"=" is not an operator', 'compare with "=="'];
  const [single] = of(/^Unexpected character: '?(.+?)'?$/);
  if (single !== undefined)
    return [`"${single}" cannot stand here`, "an operator is missing before it, or a quote"];
  if (text === "Unterminated string")
    return ["the text in quotes is never closed", "end it with the same quote"];
  const [operand] = of(/^Logical operator requires bool operands, got '(.+)'/);
  if (operand !== undefined)
    return [
      `"&&" and "||" need true or false on both sides, found ${operand}`,
      'write a comparison: … == "value"',
    ];
  return [text];
}

function suggestVariable(unknown: string, variables: Variables): string {
  const names = Object.keys(variables);
  const meant = nearest(unknown, names);
  return meant === undefined
    ? `there are: ${names.join(", ")}; a text needs quotes: "${unknown}"`
    : `did you mean "${meant}"?`;
}

/** Every `inputs.x`, `steps.x`, `env.x` (also `steps["x"]`) of the syntax tree. */
function references(node: unknown, variables: Variables): Reference[] {
  if (Array.isArray(node)) return node.flatMap((each) => references(each, variables));
  if (typeof node !== "object" || node === null || !("op" in node)) return [];
  const { op, args, range } = node as unknown as { op: string; args: unknown; range?: { start: number } };
  if ((op === "." || op === "[]") && Array.isArray(args)) {
    const [object, property] = args as [{ op?: string; args?: unknown }, unknown];
    const key = typeof property === "string" ? property : literal(property);
    const variable = object?.op === "id" ? object.args : undefined;
    if (key !== undefined && typeof variable === "string" && variables[variable] === "map") {
      return [{ variable, key, offset: range?.start ?? 0 }];
    }
  }
  return references(args, variables);
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
