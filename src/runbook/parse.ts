import { z } from "zod";
import { type Diagnostic, DiagnosticsError } from "../core/diagnostic.ts";
import { suggestion } from "../core/suggestion.ts";
import { type Path, schemaDiagnostics, YamlSource } from "../core/yaml-source.ts";
import type { Operation } from "../run/operation.ts";
import { ExpressionError, type Reference } from "./expression.ts";
import type { Runbook, Stage, Step } from "./runbook.ts";
import { groupSchema, type InputSettings, runbookSchema, stepSchema } from "./schema.ts";
import { expressions, parseCondition, parseTemplate, texts } from "./template.ts";

/** Looks up an operation by name; undefined where there is none. */
export interface OperationCatalog {
  find(name: string): Promise<Operation | undefined>;
  names(): Promise<readonly string[]>;
}

const code = "E_RUNBOOK";

/** Reads a runbook's text. Throws a DiagnosticsError with every mistake in it, not only the first. */
export async function parseRunbook(file: string, text: string, catalog: OperationCatalog): Promise<Runbook> {
  const source = new YamlSource(file, text, code);
  const result = runbookSchema.safeParse(source.value, { reportInput: true });
  const reader = new Reader(source, catalog);
  if (!result.success) reader.problems.push(...schemaDiagnostics(source, runbookSchema, result.error));
  // The steps are read even where the head has mistakes, so that all of them show at once.
  const raw = (source.value ?? {}) as { steps?: unknown; inputs?: unknown };
  const inputs = result.success ? result.data.inputs : {};
  if (result.success) reader.checkInputs(inputs);
  const declared = Object.keys(typeof raw.inputs === "object" && raw.inputs !== null ? raw.inputs : {});
  const stages = Array.isArray(raw.steps) ? await reader.stages(raw.steps, declared) : [];
  if (reader.problems.length > 0 || !result.success) throw new DiagnosticsError(code, reader.problems);
  const { name, description, locks } = result.data;
  return {
    name,
    description,
    kind: "runbook",
    text,
    file,
    inputs,
    locks,
    onFailure: result.data["on-failure"],
    stages,
  };
}

class Reader {
  readonly problems: Diagnostic[] = [];
  private readonly source: YamlSource;
  private readonly catalog: OperationCatalog;
  private declaredInputs: readonly string[] = [];
  /** Ids of all steps, to tell "comes later" from "does not exist". */
  private all: string[] = [];
  private readonly seen = new Map<string, number>();

  constructor(source: YamlSource, catalog: OperationCatalog) {
    this.source = source;
    this.catalog = catalog;
  }

  checkInputs(inputs: Readonly<Record<string, InputSettings>>): void {
    for (const [name, input] of Object.entries(inputs)) {
      const { default: value, type, options } = input;
      if (value === undefined) continue;
      const path = ["inputs", name, "default"];
      if (typeof value !== type)
        this.problem(path, `the default ${JSON.stringify(value)} is not a ${type}`, hintForType(type));
      else if (options !== undefined && !options.includes(value as string | number)) {
        this.problem(
          path,
          `the default ${JSON.stringify(value)} is not one of the options`,
          `one of: ${options.join(", ")}`,
        );
      }
    }
  }

  async stages(raw: readonly unknown[], declaredInputs: readonly string[]): Promise<Stage[]> {
    this.declaredInputs = declaredInputs;
    this.all = raw.flatMap(itemsOf).map(idOf);
    const stages: Stage[] = [];
    const ended = new Set<string>();
    for (const [index, item] of raw.entries()) {
      const path: Path = ["steps", index];
      const stage = isGroup(item)
        ? await this.group(item, path, ended)
        : [await this.step(item, path, ended)];
      stages.push(stage.filter((each) => each !== undefined));
      for (const each of itemsOf(item)) ended.add(idOf(each));
    }
    return stages;
  }

  private async group(
    item: { parallel: unknown },
    path: Path,
    before: ReadonlySet<string>,
  ): Promise<(Step | undefined)[]> {
    const result = groupSchema.safeParse(item, { reportInput: true });
    if (!result.success)
      this.problems.push(...schemaDiagnostics(this.source, groupSchema, result.error, path));
    const stage: (Step | undefined)[] = [];
    for (const [index, each] of itemsOf(item).entries()) {
      const stepPath = [...path, "parallel", index];
      if (isGroup(each))
        this.problem(stepPath, "a parallel group cannot hold another one", "list its steps here");
      else stage.push(await this.step(each, stepPath, before));
    }
    return stage;
  }

  /** @param before ids of the steps that are certain to have ended when this one begins */
  private async step(item: unknown, path: Path, before: ReadonlySet<string>): Promise<Step | undefined> {
    const result = stepSchema.safeParse(item, { reportInput: true });
    if (!result.success)
      this.problems.push(...schemaDiagnostics(this.source, stepSchema, result.error, path));
    const raw = (typeof item === "object" && item !== null ? item : {}) as Record<string, unknown>;
    this.checkId(raw.id, path);
    this.checkExpressions(raw, path, before);
    const operation = typeof raw.uses === "string" ? await this.operation(raw.uses, path) : undefined;
    if (operation !== undefined) this.checkInput(operation, raw.with ?? {}, [...path, "with"]);
    return result.success && operation !== undefined ? { ...result.data, operation } : undefined;
  }

  private checkId(id: unknown, path: Path): void {
    if (typeof id !== "string") return;
    const line = this.seen.get(id);
    const position = this.source.position([...path, "id"]);
    if (line !== undefined)
      this.problem(
        [...path, "id"],
        `a second step is called "${id}" (the first is at line ${line})`,
        "give each step an id of its own",
      );
    else this.seen.set(id, position.line);
  }

  private async operation(uses: string, path: Path): Promise<Operation | undefined> {
    const operation = await this.catalog.find(uses);
    if (operation === undefined) {
      this.problem(
        [...path, "uses"],
        `there is no operation "${uses}"`,
        suggestion(uses, await this.catalog.names()),
      );
    }
    return operation;
  }

  /** Values behind an expression are only known when it runs; everything else is checked now. */
  private checkInput(operation: Operation, input: unknown, path: Path): void {
    const result = operation.input.safeParse(input, { reportInput: true });
    if (result.success) return;
    const dynamic = texts(input).filter(({ text }) => text.includes("${{"));
    const known = result.error.issues.filter(
      (issue) =>
        !dynamic.some((each) =>
          each.path.every((key, index) => index >= issue.path.length || issue.path[index] === key),
        ) || issue.code === "unrecognized_keys",
    );
    this.problems.push(...schemaDiagnostics(this.source, operation.input, new z.ZodError(known), path));
  }

  private checkExpressions(step: Record<string, unknown>, path: Path, before: ReadonlySet<string>): void {
    for (const { path: inner, text } of texts(step)) {
      const condition = inner.length === 1 && inner[0] === "if";
      if (!condition && !text.includes("${{")) continue;
      const where = [...path, ...inner];
      if (!condition && inner[0] !== "with" && inner[0] !== "name") {
        this.problem(
          where,
          `"${inner.join(".")}" cannot hold an expression`,
          'expressions are for "with", "if" and "name"',
        );
        continue;
      }
      try {
        const template = condition ? parseCondition(text) : parseTemplate(text);
        for (const { expression, offset } of expressions(template)) {
          for (const reference of expression.references)
            this.checkReference(reference, where, text, offset, before);
        }
      } catch (error) {
        if (!(error instanceof ExpressionError)) throw error;
        this.problemInText(where, text, error.offset, error.message);
      }
    }
  }

  private checkReference(
    reference: Reference,
    path: Path,
    text: string,
    offset: number,
    before: ReadonlySet<string>,
  ): void {
    const { variable, key } = reference;
    const at = offset + reference.offset;
    if (variable === "inputs" && !this.declaredInputs.includes(key)) {
      this.problemInText(path, text, at, `there is no input "${key}"`, suggestion(key, this.declaredInputs));
    }
    if (variable === "steps" && !before.has(key)) {
      if (this.all.includes(key))
        this.problemInText(
          path,
          text,
          at,
          `step "${key}" has not ended when this one begins`,
          "use the output of an earlier step",
        );
      else this.problemInText(path, text, at, `there is no step "${key}"`, suggestion(key, before));
    }
  }

  private problem(path: Path, message: string, hint?: string): void {
    this.problems.push(this.source.at(this.source.position(path), message, hint));
  }

  /** A place inside a text; exact where the text stands on one line as it is written. */
  private problemInText(path: Path, text: string, offset: number, message: string, hint?: string): void {
    const start = this.source.position(path);
    const line = this.source.text.split(/\r?\n/)[start.line - 1] ?? "";
    const found = line.indexOf(text, start.column - 1);
    const column = found === -1 ? start.column : found + 1 + offset;
    this.problems.push(this.source.at({ line: start.line, column }, message, hint));
  }
}

function isGroup(item: unknown): item is { parallel: unknown } {
  return typeof item === "object" && item !== null && "parallel" in item;
}

/** The steps of a stage: those of a group, or the one that it is. */
function itemsOf(item: unknown): unknown[] {
  if (!isGroup(item)) return [item];
  return Array.isArray(item.parallel) ? item.parallel : [];
}

function idOf(item: unknown): string {
  return typeof item === "object" && item !== null && "id" in item ? String(item.id) : "";
}

function hintForType(type: string): string {
  return type === "string" ? "put it in quotes" : `write a ${type} without quotes`;
}
