import type { Json } from "../core/errors.ts";
import * as template from "../expression/template.ts";
import { language, type Reference, type Scope } from "./expression.ts";

export { expressions, render, type Template, texts } from "../expression/template.ts";

/** As every text of a runbook is read. Throws ExpressionError with an offset into the whole text. */
export function parseTemplate(text: string): template.Template {
  return template.parseTemplate(text, language);
}

/** An `if:` may leave its brackets out, as in GitHub's workflows. */
export function parseCondition(text: string): template.Template {
  return template.parseCondition(text, language);
}

/** The value with every expression in it evaluated. */
export function renderAll(value: unknown, scope: Scope): Json {
  return template.renderAll(value, scope, language);
}

/** What the expressions in a value, and in a condition, ask about. */
export function referencesIn(value: unknown, condition?: string): Reference[] {
  return template.referencesIn(value, condition, language);
}
