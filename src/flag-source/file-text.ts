import { applyEdits, modify, type ParseError, parseTree, printParseErrorCode } from "jsonc-parser";
import { Document, isMap, isScalar, isSeq, parseDocument, visit } from "yaml";
import type { z } from "zod";
import { DiagnosticsError } from "../core/diagnostic.ts";
import { type Json, OpsError, UsageError } from "../core/errors.ts";
import { deepestLevel } from "../core/yaml-depth.ts";
import { schemaDiagnostics, YamlSource } from "../core/yaml-source.ts";
import { documentSchema, type FlagDocument, isRecord, sameJson } from "./definition.ts";
import { differences } from "./differences.ts";
import { documentOf, type FlagSet, setOf } from "./flag-set.ts";

/** How a file of flags is written. */
export type FileForm = "json" | "yaml";

export function formOf(file: string): FileForm {
  return /\.ya?ml$/i.test(file) ? "yaml" : "json";
}

/** Above so many changes a JSON file is written anew: each single edit reads the whole text. */
const singleEdits = 50;

/** The flags of a text. Throws a DiagnosticsError with every mistake at its place. */
export function readText(file: string, form: FileForm, text: string): FlagSet {
  try {
    return parsedText(file, form, text);
  } catch (error) {
    throw error instanceof RangeError ? tooDeep(file) : error;
  }
}

function parsedText(file: string, form: FileForm, text: string): FlagSet {
  if (text.trim() === "") return setOf({ flags: {} });
  const value = form === "json" ? parseJson(text) : undefined;
  // Read with places only where something is wrong, and as YAML: JSON is a part of it.
  const source = value === undefined ? new YamlSource(file, text, "E_FLAG_FILE") : undefined;
  if (form === "json" && source !== undefined) throw jsonMistake(source);
  const document = (value ?? source?.value) as Json;
  if (Array.isArray(isRecord(document) ? document.flags : undefined)) {
    const at = new YamlSource(file, text, "E_FLAG_FILE");
    throw new DiagnosticsError("E_FLAG_FILE", [
      at.at(
        at.position(["flags"]),
        "flags are a list here, with sets of flags",
        "ops reads flags by their name: flags: { NAME: … }",
      ),
    ]);
  }
  if (isDeep(document)) throw tooDeep(file);
  refuseProto(file, text, document);
  const { error } = documentSchema.safeParse(document, { reportInput: true });
  if (error !== undefined) throw mistakes(source ?? new YamlSource(file, text, "E_FLAG_FILE"), error);
  return setOf(document as FlagDocument);
}

function isDeep(document: Json): boolean {
  let level: readonly unknown[] = [document];
  for (let depth = 0; level.length > 0; depth += 1) {
    if (depth > deepestLevel) return true;
    level = level.flatMap((each) => (typeof each === "object" && each !== null ? Object.values(each) : []));
  }
  return false;
}

function tooDeep(file: string): UsageError {
  return new UsageError("E_FLAG_FILE", `The flags in ${file} are more than ${deepestLevel} levels deep`, {
    hint: "write the rules flatter; who reads them goes down into them by calling itself",
  });
}

/** No schema looks at what has this name, and half of the readers of the format lose it. */
function refuseProto(file: string, text: string, document: Json): void {
  for (const part of ["flags", "$evaluators", "metadata"]) {
    const found = isRecord(document) ? document[part] : undefined;
    if (!isRecord(found) || !Object.hasOwn(found, "__proto__")) continue;
    const source = new YamlSource(file, text, "E_FLAG_FILE");
    throw new DiagnosticsError("E_FLAG_FILE", [
      source.at(
        source.position([part, "__proto__"]),
        "nothing can be called __proto__",
        "give it another name",
      ),
    ]);
  }
}

function mistakes(source: YamlSource, error: z.ZodError): DiagnosticsError {
  return new DiagnosticsError("E_FLAG_FILE", schemaDiagnostics(source, documentSchema, error));
}

/** Undefined where it is no JSON, or names something twice: the last one would count, and the first be edited. */
function parseJson(text: string): Json | undefined {
  const errors: ParseError[] = [];
  const tree = parseTree(text, errors, { disallowComments: true });
  if (tree === undefined || errors.length > 0) return undefined;
  const hasTwice = (node: typeof tree): boolean => {
    const children = node.children ?? [];
    if (node.type === "object") {
      const keys = children.map((each) => String(each.children?.[0]?.value));
      if (new Set(keys).size !== keys.length) return true;
    }
    return children.some((each) => hasTwice(each));
  };
  return hasTwice(tree) ? undefined : (JSON.parse(text) as Json);
}

/** What the parser of JSON has against a text that would do as YAML: flagd reads a .json file as JSON only. */
function jsonMistake(source: YamlSource): DiagnosticsError {
  const errors: ParseError[] = [];
  parseTree(source.text, errors, { disallowComments: true });
  const [first] = errors;
  const before = source.text.slice(0, first?.offset ?? 0).split("\n");
  const place = { line: before.length, column: (before.at(-1)?.length ?? 0) + 1 };
  const what =
    first === undefined
      ? "wrong"
      : printParseErrorCode(first.error)
          .replaceAll(/(?<=[a-z])([A-Z])/g, " $1")
          .toLowerCase();
  return new DiagnosticsError("E_FLAG_FILE", [
    source.at(place, `this is no JSON: ${what}`, "mend it, or call the file .yaml"),
  ]);
}

/**
 * The text with everything that is different in another set, and nothing else: order, comments and white space of the
 * rest stay. Throws `E_FLAG_FILE` where the text cannot be edited so (anchors in YAML that a changed flag shares).
 */
export function editedText(
  file: string,
  form: FileForm,
  text: string,
  before: FlagSet,
  after: FlagSet,
): string {
  const edits = editsBetween(before, after);
  let result: string;
  try {
    result = form === "json" ? editJson(text, edits, after) : editYaml(text, edits, after);
  } catch (error) {
    throw shared(file, error);
  }
  if (differences(readText(file, form, result), after).length === 0) return result;
  throw shared(file);
}

function shared(file: string, cause?: unknown): OpsError {
  return new OpsError("E_FLAG_FILE", `The file ${file} cannot be edited: flags in it share parts (anchors)`, {
    cause,
    hint: "write the parts out where they are used, or use $evaluators; nothing was written",
    retryable: false,
  });
}

type Edit = {
  readonly path: readonly string[];
  readonly value: Json | undefined;
  /** The keys beside it, as they are wanted: a new one goes to its place among them. */
  readonly order: readonly string[];
};

function editsBetween(before: FlagSet, after: FlagSet): Edit[] {
  const [from, to] = [documentOf(before), documentOf(after)];
  // At the top an empty part is as good as none, and a file without flags keeps its key.
  const parts = ["metadata", "flags", "$evaluators"] as const;
  return parts.flatMap((key) => editsOf([key], (from[key] ?? {}) as Json, to[key] as Json | undefined, []));
}

/** The smallest places that differ; a list is one place. */
function editsOf(
  path: readonly string[],
  before: Json | undefined,
  after: Json | undefined,
  order: readonly string[],
): Edit[] {
  if (before === after || (path.length === 1 && sameJson(before ?? {}, after ?? {}))) return [];
  if (!isRecord(before) || !isRecord(after)) {
    const isSame = before !== undefined && after !== undefined && sameJson(before, after);
    return isSame ? [] : [{ path, value: after, order }];
  }
  const keys = Object.keys(after);
  return [...new Set([...Object.keys(before), ...keys])].flatMap((key) =>
    editsOf([...path, key], own(before, key), own(after, key), keys),
  );
}

/** Every object has a `constructor`, and a flag may be called so. */
function own(record: { [key: string]: Json | undefined }, key: string): Json | undefined {
  return Object.hasOwn(record, key) ? record[key] : undefined;
}

/** Where a new key goes among those that are there. */
function placeAmong(present: readonly string[], { path, order }: Edit): number {
  const later = order.slice(order.indexOf(path.at(-1) ?? "") + 1);
  const next = present.findIndex((each) => later.includes(each));
  return next === -1 ? present.length : next;
}

const emptyJson = '{\n  "$schema": "https://flagd.dev/schema/v0/flags.json",\n  "flags": {}\n}\n';

function editJson(text: string, edits: readonly Edit[], after: FlagSet): string {
  const start = text.trim() === "" ? emptyJson : text;
  const indent = /\n([ \t]+)"/.exec(start)?.[1] ?? "  ";
  if (edits.length > singleEdits) {
    const rest = JSON.parse(start) as { [key: string]: Json };
    const { flags: _, $evaluators: __, metadata: ___, ...kept } = rest;
    return `${JSON.stringify({ ...kept, ...documentOf(after) }, null, indent)}\n`;
  }
  const formattingOptions = {
    insertSpaces: !indent.includes("\t"),
    tabSize: indent.includes("\t") ? 1 : indent.length,
    eol: start.includes("\r\n") ? "\r\n" : "\n",
  };
  return edits.reduce((now, edit) => {
    const getInsertionIndex = (present: string[]) => placeAmong(present, edit);
    return applyEdits(now, modify(now, [...edit.path], edit.value, { formattingOptions, getInsertionIndex }));
  }, start);
}

/** What YAML 1.1 reads as another type is quoted: for flagd itself, a plain `on` is true. */
const yaml = { version: "1.2", compat: "yaml-1.1", aliasDuplicateObjects: false } as const;

function editYaml(text: string, edits: readonly Edit[], after: FlagSet): string {
  const parsed = parseDocument(text, yaml);
  const document = parsed.contents === null ? new Document(documentOf(after), yaml) : parsed;
  if (document === parsed) {
    for (const edit of edits) {
      if (edit.value === undefined) document.deleteIn(edit.path);
      else setIn(document, edit, edit.value);
    }
  } else compactLists(document);
  const indent = /^( +)\S/m.exec(text)?.[1]?.length ?? 2;
  return document.toString({ lineWidth: 0, indent, flowCollectionPadding: !/\{\S/.test(text) });
}

/** A plain value changes in its node, so that the comment behind it stays. */
function setIn(document: Document, edit: Edit, value: Json): void {
  const { path } = edit;
  const parent = document.getIn(path.slice(0, -1));
  const isNew = isMap(parent) && !parent.has(path.at(-1));
  const present = isMap(parent) ? parent.items.map(({ key }) => String(isScalar(key) ? key.value : key)) : [];
  const node = document.createNode(value, { aliasDuplicateObjects: false });
  compactLists(node);
  document.setIn(path, typeof value === "object" ? node : value);
  const added = isNew ? parent.items.pop() : undefined;
  if (isNew && added !== undefined) parent.items.splice(placeAmong(present, edit), 0, added);
}

/** Lists of plain values on one line: `[on, 10]`. */
function compactLists(node: Document | Parameters<typeof visit>[0]): void {
  visit(node, {
    Seq: (_, each) => {
      const isPlain = each.items.every(
        (item) => !isSeq(item) && typeof (item as { value?: unknown }).value !== "undefined",
      );
      if (isPlain) each.flow = true;
    },
  });
}
