import type { Json } from "../core/errors.ts";
import type { Path } from "../core/yaml-source.ts";
import { type Expression, ExpressionError, type Language, type Reference } from "./expression.ts";

/** A text with `${{ }}` in it: literal pieces and expressions in order. */
export interface Template {
  readonly pieces: readonly (string | { readonly expression: Expression; readonly offset: number })[];
}

/**
 * Takes a text apart. The result has no expression in it for plain text. Throws ExpressionError with an offset into
 * the whole text.
 */
export function parseTemplate(text: string, language: Language): Template {
  const pieces: (string | { expression: Expression; offset: number })[] = [];
  let at = 0;
  while (at < text.length) {
    const open = text.indexOf("${{", at);
    if (open === -1) break;
    const close = text.indexOf("}}", open + 3);
    if (close === -1) throw new ExpressionError("the expression is never closed", open, 'end it with "}}"');
    if (open > at) pieces.push(text.slice(at, open));
    const inner = text.slice(open + 3, close);
    const offset = open + 3 + (inner.length - inner.trimStart().length);
    if (inner.trim() === "")
      throw new ExpressionError(
        "the expression is empty",
        open,
        `write what it stands for: \${{ inputs.name }}`,
      );
    pieces.push({ expression: compileAt(inner.trim(), offset, language), offset });
    at = close + 2;
  }
  if (at < text.length) pieces.push(text.slice(at));
  return { pieces };
}

/** An `if:` may leave its brackets out, as in GitHub's workflows. */
export function parseCondition(text: string, language: Language): Template {
  if (text.includes("${{")) return parseTemplate(text, language);
  const offset = text.length - text.trimStart().length;
  if (text.trim() === "") {
    throw new ExpressionError(
      "the condition is empty",
      0,
      'leave "if" out, or write a comparison: inputs.name == "x"',
    );
  }
  return { pieces: [{ expression: compileAt(text.trim(), offset, language), offset }] };
}

export function expressions(
  template: Template,
): { readonly expression: Expression; readonly offset: number }[] {
  return template.pieces.filter((piece) => typeof piece !== "string");
}

/** A lone expression keeps its type; in a text each becomes part of the text. */
export function render(template: Template, scope: object): Json {
  const [only] = template.pieces;
  if (template.pieces.length === 1 && only !== undefined) {
    return typeof only === "string" ? only : only.expression.evaluate(scope);
  }
  return template.pieces
    .map((piece) => {
      if (typeof piece === "string") return piece;
      const value = piece.expression.evaluate(scope);
      return typeof value === "string" ? value : JSON.stringify(value);
    })
    .join("");
}

/** Every text in a value, with its path. */
export function texts(value: unknown, path: Path = []): { readonly path: Path; readonly text: string }[] {
  if (typeof value === "string") return [{ path, text: value }];
  if (Array.isArray(value)) return value.flatMap((each, index) => texts(each, [...path, index]));
  if (typeof value === "object" && value !== null) {
    return Object.entries(value).flatMap(([key, each]) => texts(each, [...path, key]));
  }
  return [];
}

/** The value with every expression in it evaluated. */
export function renderAll(value: unknown, scope: object, language: Language): Json {
  if (typeof value === "string")
    return value.includes("${{") ? render(parseTemplate(value, language), scope) : value;
  if (Array.isArray(value)) return value.map((each) => renderAll(each, scope, language));
  if (typeof value === "object" && value !== null) {
    return Object.fromEntries(
      Object.entries(value).map(([key, each]) => [key, renderAll(each, scope, language)]),
    );
  }
  return value as Json;
}

/** What the expressions in a value, and in a condition, ask about. */
export function referencesIn(value: unknown, condition: string | undefined, language: Language): Reference[] {
  const templates = texts(value)
    .filter(({ text }) => text.includes("${{"))
    .map(({ text }) => parseTemplate(text, language));
  if (condition !== undefined) templates.push(parseCondition(condition, language));
  return templates.flatMap(expressions).flatMap(({ expression }) => expression.references);
}

function compileAt(source: string, offset: number, language: Language): Expression {
  try {
    return language.compile(source);
  } catch (error) {
    if (error instanceof ExpressionError)
      throw new ExpressionError(error.message, offset + error.offset, error.hint);
    throw error;
  }
}
