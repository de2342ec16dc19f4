import { z } from "zod";
import { type Diagnostic, DiagnosticsError } from "../core/diagnostic.ts";
import { errorCodes } from "../core/error-codes.ts";
import { fullCode } from "../core/errors.ts";
import { nearest, suggestion } from "../core/suggestion.ts";
import { type Path, schemaDiagnostics, YamlSource } from "../core/yaml-source.ts";
import type { Operation } from "../run/operation.ts";
import type { Runbook, Stage, Step } from "./runbook.ts";
import { groupSchema, type InputSettings, inputSchema, runbookSchema, stepSchema } from "./schema.ts";
import { expressionMistakes, type Surroundings } from "./step-expressions.ts";
import { texts } from "./template.ts";

/** Looks up an operation by name; undefined where there is none. */
export interface OperationCatalog {
  find(name: string): Promise<Operation | undefined>;
  names(): Promise<readonly string[]>;
}

const code = "E_RUNBOOK";

/** Reads a runbook's text. Throws a DiagnosticsError with every mistake in it, not only the first. */
export async function parseRunbook(file: string, text: string, catalog: OperationCatalog): Promise<Runbook> {
  const source = new YamlSource(file, text, code);
  refuseOtherShapes(source);
  const result = runbookSchema.safeParse(source.value, { reportInput: true });
  const reader = new Reader(source, catalog);
  if (!result.success) reader.check(runbookSchema, result.error, []);
  // Inputs and steps are read even where the head has mistakes, so that all of them show at once.
  const raw = source.value as { steps?: unknown; inputs?: unknown };
  const inputs = isMapping(raw.inputs) ? raw.inputs : {};
  reader.checkInputs(inputs);
  const stages = Array.isArray(raw.steps) ? await reader.stages(raw.steps, Object.keys(inputs)) : [];
  if (reader.problems.length > 0 || !result.success) throw new DiagnosticsError(code, reader.problems);
  const { name, description, locks } = result.data;
  return {
    name,
    description,
    kind: "runbook",
    text,
    file,
    inputs: result.data.inputs,
    locks,
    onFailure: result.data["on-failure"],
    stages,
  };
}

/** What is no runbook at all gets one answer, not one for each missing key. */
function refuseOtherShapes(source: YamlSource): void {
  const { value } = source;
  if (isMapping(value)) return;
  const hint = Array.isArray(value)
    ? 'put the list under "steps:", and "name: …" above it'
    : 'begin with "name: …" and "steps:"';
  const message =
    value === null ? "there is nothing in this file" : "a runbook is a mapping with a name and steps";
  throw new DiagnosticsError(code, [source.at(source.position([]), message, hint)]);
}

class Reader {
  readonly problems: Diagnostic[] = [];
  private readonly source: YamlSource;
  private readonly catalog: OperationCatalog;
  private declaredInputs: readonly string[] = [];
  private all: string[] = [];
  private readonly seen = new Map<string, number>();

  constructor(source: YamlSource, catalog: OperationCatalog) {
    this.source = source;
    this.catalog = catalog;
  }

  /** Mistakes of the value at a path; one place gets one answer. */
  check(schema: z.ZodType, error: z.ZodError, path: Path): void {
    const places = new Set(this.problems.map(place));
    const found = schemaDiagnostics(this.source, schema, error, path);
    this.problems.push(...found.filter((each) => !places.has(place(each))));
  }

  checkInputs(inputs: Readonly<Record<string, unknown>>): void {
    for (const { path } of texts(inputs).filter(({ text }) => text.includes("${{"))) {
      this.problem(["inputs", ...path], "an input cannot hold an expression", "write the value itself");
    }
    for (const [name, raw] of Object.entries(inputs)) {
      const result = inputSchema.safeParse(raw);
      if (result.success) this.checkValues(name, result.data);
    }
  }

  private checkValues(name: string, { default: value, type, options = [] }: InputSettings): void {
    const path: Path = ["inputs", name];
    for (const [index, option] of options.entries()) {
      if (typeof option === type) continue;
      const message = `the option ${JSON.stringify(option)} is not a ${type}`;
      this.problem([...path, "options", index], message, hintForType(type, option));
    }
    if (value === undefined) return;
    if (typeof value !== type) {
      const message = `the default ${JSON.stringify(value)} is not a ${type}`;
      this.problem([...path, "default"], message, hintForType(type, value));
    } else if (options.length > 0 && !options.includes(value as string | number)) {
      const message = `the default ${JSON.stringify(value)} is not one of the options`;
      this.problem([...path, "default"], message, suggestion(String(value), options.map(String)));
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
        : [await this.step(item, path, ended, [])];
      stages.push(stage.filter((each) => each !== undefined));
      for (const each of itemsOf(item)) ended.add(idOf(each));
    }
    return stages;
  }

  private async group(item: object, path: Path, before: ReadonlySet<string>): Promise<(Step | undefined)[]> {
    const result = groupSchema.safeParse(item, { reportInput: true });
    if (!result.success) this.check(groupSchema, result.error, path);
    if (!("parallel" in item)) return [];
    const stage: (Step | undefined)[] = [];
    const beside = itemsOf(item).map(idOf);
    for (const [index, each] of itemsOf(item).entries()) {
      const stepPath = [...path, "parallel", index];
      if (isGroup(each))
        this.problem(stepPath, "a parallel group cannot hold another one", "list its steps in the outer one");
      else stage.push(await this.step(each, stepPath, before, beside));
    }
    return stage;
  }

  private async step(
    item: unknown,
    path: Path,
    before: ReadonlySet<string>,
    beside: readonly string[],
  ): Promise<Step | undefined> {
    const raw = isMapping(item) ? item : {};
    this.checkId(raw.id, path);
    this.checkRetry(raw.retry, path);
    this.checkExpressions(raw, path, {
      id: idOf(item),
      before,
      beside,
      inputs: this.declaredInputs,
      all: this.all,
    });
    const result = stepSchema.safeParse(item, { reportInput: true });
    if (!result.success) this.check(stepSchema, result.error, path);
    const operation = typeof raw.uses === "string" ? await this.operation(raw.uses, path) : undefined;
    if (operation !== undefined) this.checkInput(operation, raw.with, path);
    return result.success && operation !== undefined ? { ...result.data, operation } : undefined;
  }

  /** A misspelt code would never be met, and its retry never happen. */
  private checkRetry(retry: unknown, path: Path): void {
    const on = typeof retry === "object" && retry !== null && "on" in retry ? retry.on : undefined;
    for (const [index, code] of (Array.isArray(on) ? on : []).entries()) {
      if (typeof code !== "string" || errorCodes.includes(fullCode(code))) continue;
      const known = errorCodes.map((each) => each.slice(2).toLowerCase());
      this.problem([...path, "retry", "on", index], `there is no error "${code}"`, suggestionOf(code, known));
    }
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
    if (operation === undefined && !uses.includes("${{")) {
      const hint = suggestOperation(uses, await this.catalog.names());
      this.problem([...path, "uses"], `there is no operation "${uses}"`, hint);
    }
    return operation;
  }

  /** Values behind an expression are only known when it runs; everything else is checked now. */
  private checkInput(operation: Operation, input: unknown, path: Path): void {
    if (input !== undefined && !isMapping(input)) return;
    const result = operation.input.safeParse(input ?? {}, { reportInput: true });
    if (result.success) return;
    if (input === undefined) {
      const keys = result.error.issues.map((issue) => String(issue.path[0]));
      const hint = `add "with: { ${keys.map((key) => `${key}: …`).join(", ")} }"`;
      this.problem(
        [...path, "uses"],
        `${operation.name} needs ${keys.map((key) => `"${key}"`).join(" and ")}`,
        hint,
      );
      return;
    }
    const dynamic = texts(input).filter(({ text }) => text.includes("${{"));
    const known = result.error.issues.filter(
      (issue) =>
        !dynamic.some((each) =>
          each.path.every((key, index) => index >= issue.path.length || issue.path[index] === key),
        ) || issue.code === "unrecognized_keys",
    );
    this.check(operation.input, new z.ZodError(known), [...path, "with"]);
  }

  private checkExpressions(step: Record<string, unknown>, path: Path, surroundings: Surroundings): void {
    for (const { path: inner, offset, message, hint } of expressionMistakes(step, surroundings)) {
      const where = [...path, ...inner];
      const position =
        offset === undefined ? this.source.position(where) : this.source.positionInText(where, offset);
      this.problems.push(this.source.at(position, message, hint));
    }
  }

  private problem(path: Path, message: string, hint?: string): void {
    this.problems.push(this.source.at(this.source.position(path), message, hint));
  }
}

function isMapping(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Also where the word is misspelt: the answer is then about that word, not about the keys of a step. */
function isGroup(item: unknown): item is object {
  if (!isMapping(item)) return false;
  const words = ["parallel", ...Object.keys(stepSchema.shape)];
  return (
    "parallel" in item ||
    (!("uses" in item) && Object.keys(item).some((key) => nearest(key, words) === "parallel"))
  );
}

/** The steps of a stage: those of a group, or the one that it is. */
function itemsOf(item: unknown): unknown[] {
  if (!isGroup(item)) return [item];
  const found = "parallel" in item ? item.parallel : Object.values(item).find(Array.isArray);
  return Array.isArray(found) ? found : [];
}

function idOf(item: unknown): string {
  return isMapping(item) && "id" in item ? String(item.id) : "";
}

/** The list of all operations would be longer than the rest of the answer. */
function suggestOperation(uses: string, names: readonly string[]): string {
  const siblings = names.filter((name) => name.split(".")[0] === uses.split(".")[0]);
  if (nearest(uses, names) !== undefined || siblings.length > 0)
    return suggestion(uses, siblings.length > 0 ? siblings : names);
  return "see what there is: ops --help";
}

function place({ position }: Diagnostic): string {
  return `${position.line}:${position.column}`;
}

function hintForType(type: string, value: string | number | boolean): string {
  if (type === "string") return `put it in quotes: "${value}"`;
  if (type === "boolean") return "write true or false, without quotes";
  return Number.isNaN(Number(value)) ? "write a number" : `write it without quotes: ${value}`;
}

/** Not the whole list: it is long. */
function suggestionOf(word: string, known: readonly string[]): string {
  const close = nearest(word, known);
  return close === undefined
    ? "write an error's code: lock_timeout, connection_lost"
    : `did you mean "${close}"?`;
}
