import { isMap, isNode, isPair, isScalar, LineCounter, type Node, parseDocument } from "yaml";
import type { z } from "zod";
import { type Diagnostic, DiagnosticsError, type Position } from "./diagnostic.ts";
import { schemaMistakes } from "./schema-mistake.ts";
import { deepestLevel, tooDeepAt } from "./yaml-depth.ts";
import { syntaxMistakes } from "./yaml-syntax.ts";

export type Path = readonly (string | number)[];

/** A YAML (or JSON) text that remembers where each of its values stands. */
export class YamlSource {
  readonly file: string;
  readonly text: string;
  /** The document as plain data; null for an empty one. */
  readonly value: unknown;
  private readonly root: Node | null;
  private readonly lineCounter: LineCounter;
  private readonly lines: readonly string[];

  /** Throws a DiagnosticsError with every syntax error, duplicate keys and unresolved aliases included. */
  constructor(file: string, text: string, code: `E_${string}`) {
    this.file = file;
    this.text = text;
    this.lines = text.split(/\r?\n/);
    this.lineCounter = new LineCounter();
    const tooDeep = tooDeepAt(text);
    if (tooDeep !== undefined) {
      const before = text.slice(0, tooDeep).split(/\r?\n/);
      const place = { line: before.length, column: (before.at(-1)?.length ?? 0) + 1 };
      throw new DiagnosticsError(code, [
        // Without its line, which may be all of the text.
        {
          file,
          position: place,
          message: `this is more than ${deepestLevel} levels deep`,
          hint: "write it flatter",
        },
      ]);
    }
    const document = parseDocument(text, {
      lineCounter: this.lineCounter,
      prettyErrors: false,
      version: "1.2",
    });
    this.root = document.contents;
    const mistakes = syntaxMistakes(text, document);
    if (mistakes.length > 0) {
      throw new DiagnosticsError(
        code,
        mistakes.map(({ offset, message, hint }) => this.at(this.positionOf(offset), message, hint)),
      );
    }
    try {
      this.value = document.toJS({ maxAliasCount: 100 });
    } catch (error) {
      throw new DiagnosticsError(code, [
        this.at({ line: 1, column: 1 }, error instanceof Error ? error.message : String(error)),
      ]);
    }
  }

  /** Where the value at a path begins; the nearest ancestor that exists where it does not. */
  position(path: Path): Position {
    const node = this.nearestNode(path);
    return node?.range ? this.positionOf(node.range[0]) : { line: 1, column: 1 };
  }

  /** Whether there is a value at this path. */
  has(path: Path): boolean {
    return this.node(path) !== undefined;
  }

  /** Where the key itself stands, for a key that should not be there. */
  keyPosition(path: Path, key: string): Position {
    const node = this.node(path);
    if (isMap(node)) {
      const pair = node.items.find(
        (each) => isPair(each) && isScalar(each.key) && String(each.key.value) === key,
      );
      const range = pair !== undefined && isNode(pair.key) ? pair.key.range : undefined;
      if (range) return this.positionOf(range[0]);
    }
    return this.position(path);
  }

  /**
   * Where a character of the text at a path stands. `offset` counts UTF-16 units into the text's value; quotes, folded
   * lines and block scalars are seen through.
   */
  positionInText(path: Path, offset: number): Position {
    const node = this.node(path);
    if (!isScalar(node) || typeof node.value !== "string" || node.value.trim() === "" || !node.range)
      return this.position(path);
    const [start, , end] = node.range;
    const block = node.type === "BLOCK_LITERAL" || node.type === "BLOCK_FOLDED";
    let at = block ? this.text.indexOf("\n", start) + 1 : this.text.slice(start).search(/[^"']/) + start;
    const isSpace = (character: string | undefined) => character !== undefined && /\s/.test(character);
    for (let index = 0; at < end; index += 1) {
      while (index < offset && isSpace(node.value[index])) index += 1;
      while (isSpace(this.text[at]) || (this.text[at] === "\\" && node.value[index] !== "\\")) at += 1;
      if (index >= offset) return this.positionOf(at);
      // Something that this reading does not see through: the beginning of the text is close enough.
      if (this.text[at] !== node.value[index]) break;
      at += 1;
    }
    return offset >= node.value.trimEnd().length && at <= end ? this.positionOf(at) : this.position(path);
  }

  at(position: Position, message: string, hint?: string): Diagnostic {
    const sourceLine = this.text.trim() === "" ? undefined : this.lines[position.line - 1];
    return { file: this.file, position, message, hint, sourceLine };
  }

  private node(path: Path): unknown {
    let node: unknown = this.root;
    for (const key of path) node = child(node, key);
    return node;
  }

  private nearestNode(path: Path): Node | null {
    for (let length = path.length; length > 0; length -= 1) {
      const node = this.node(path.slice(0, length));
      if (isNode(node) && node.range) return node;
    }
    return this.root;
  }

  /** The offset is in UTF-16 units into the text. */
  private positionOf(offset: number): Position {
    const { line, col } = this.lineCounter.linePos(offset);
    return { line, column: col };
  }
}

function child(node: unknown, key: string | number): unknown {
  if (typeof node !== "object" || node === null || !("get" in node) || typeof node.get !== "function")
    return undefined;
  const found: unknown = node.get(key, true);
  return found ?? undefined;
}

/** What zod found wrong with the value at `base` of a source, each with its place and what to write instead. */
export function schemaDiagnostics(
  source: YamlSource,
  schema: z.ZodType,
  error: z.ZodError,
  base: Path = [],
): Diagnostic[] {
  return schemaMistakes(schema, error).map(({ path, key, message, hint }) => {
    const whole = [...base, ...path];
    const where = key === undefined ? source.position(whole) : source.keyPosition(whole, key);
    return source.at(where, message, hint);
  });
}
