import { isMap, isNode, isPair, isScalar, LineCounter, type Node, parseDocument } from "yaml";
import type { z } from "zod";
import { type Diagnostic, DiagnosticsError, type Position } from "./diagnostic.ts";
import { suggestion } from "./suggestion.ts";

export type Path = readonly (string | number)[];

/** A YAML (or JSON) text that remembers where each of its values stands. */
export class YamlSource {
  readonly file: string;
  readonly text: string;
  /** The document as plain data. */
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
    const document = parseDocument(text, {
      lineCounter: this.lineCounter,
      prettyErrors: false,
      version: "1.2",
    });
    this.root = document.contents;
    const problems = [...document.errors, ...document.warnings];
    if (problems.length > 0) {
      throw new DiagnosticsError(
        code,
        problems.map((each) =>
          this.at(this.positionOf(each.pos[0]), each.message.split("\n")[0] ?? each.message),
        ),
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
    let node: unknown = this.root;
    let best: number | undefined = this.root?.range?.[0];
    for (const key of path) {
      const next = child(node, key);
      if (next === undefined) break;
      node = next;
      if (isNode(node) && node.range) best = node.range[0];
    }
    return best === undefined ? { line: 1, column: 1 } : this.positionOf(best);
  }

  /** Whether there is a value at this path. */
  has(path: Path): boolean {
    let node: unknown = this.root;
    for (const key of path) {
      node = child(node, key);
      if (node === undefined) return false;
    }
    return true;
  }

  /** Where the key itself stands, for a key that should not be there. */
  keyPosition(path: Path, key: string): Position {
    let node: unknown = this.root;
    for (const each of path) node = child(node, each);
    if (isMap(node)) {
      const pair = node.items.find(
        (each) => isPair(each) && isScalar(each.key) && String(each.key.value) === key,
      );
      const range = pair !== undefined && isNode(pair.key) ? pair.key.range : undefined;
      if (range) return this.positionOf(range[0]);
    }
    return this.position(path);
  }

  at(position: Position, message: string, hint?: string): Diagnostic {
    return { file: this.file, position, message, hint, sourceLine: this.lines[position.line - 1] };
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
  return flatten(error.issues).flatMap((issue) => {
    const path = [...base, ...issue.path.filter((each) => typeof each !== "symbol")];
    const where = source.position(path);
    const last = path.at(-1);
    switch (issue.code) {
      case "unrecognized_keys":
        return issue.keys.map((key) => {
          const hint = suggestion(key, knownKeys(schema, issue.path));
          return source.at(source.keyPosition(path, key), `unknown key "${key}"`, hint);
        });
      case "invalid_type":
        if (issue.input === undefined)
          return [source.at(where, `missing key "${String(last)}"`, `add "${String(last)}: …" here`)];
        return [source.at(where, `expected ${article(issue.expected)}, found ${describe(issue.input)}`)];
      case "invalid_value":
        return [
          source.at(
            where,
            issue.input === undefined
              ? `missing key "${String(last)}"`
              : `${JSON.stringify(issue.input)} is not one of ${issue.values.map((each) => JSON.stringify(each)).join(", ")}`,
            typeof issue.input === "string" ? suggestion(issue.input, issue.values.map(String)) : undefined,
          ),
        ];
      default: {
        const hint = issue.code === "custom" ? (issue.params?.hint as string | undefined) : undefined;
        return [source.at(where, issue.message, hint)];
      }
    }
  });
}

/** A union's issues are those of its most promising branch: the one whose trouble lies deepest. */
function flatten(issues: readonly z.core.$ZodIssue[]): z.core.$ZodIssue[] {
  return issues.flatMap((issue) => {
    if (issue.code !== "invalid_union" || issue.errors.length === 0) return [issue];
    const branches = issue.errors.map((branch) => flatten(branch));
    const depth = (branch: z.core.$ZodIssue[]) => Math.max(0, ...branch.map((each) => each.path.length));
    const best = branches.reduce((a, b) => (depth(b) > depth(a) ? b : a));
    return best.map((each) => ({ ...each, path: [...issue.path, ...each.path] }) as z.core.$ZodIssue);
  });
}

/** The keys that the object at a path of a schema may have. */
function knownKeys(schema: z.ZodType, path: readonly PropertyKey[]): string[] {
  let current: z.core.$ZodType[] = [schema];
  for (const key of path) current = current.flatMap((each) => step(unwrap(each), key));
  return current
    .flatMap(unwrap)
    .flatMap((each) => ("shape" in each ? Object.keys(each.shape as object) : []));
}

function step(schemas: z.core.$ZodType[], key: PropertyKey): z.core.$ZodType[] {
  return schemas.flatMap((schema) => {
    const { def } = schema._zod as unknown as {
      def: Record<string, z.core.$ZodType & Record<PropertyKey, z.core.$ZodType>>;
    };
    const next = def.shape?.[key] ?? def.element ?? def.valueType;
    return next === undefined ? [] : [next];
  });
}

/** Through optional, default, pipe and union to what is inside. */
function unwrap(schema: z.core.$ZodType): z.core.$ZodType[] {
  const { def } = schema._zod as unknown as {
    def: {
      innerType?: z.core.$ZodType;
      in?: z.core.$ZodType;
      options?: z.core.$ZodType[];
      getter?: () => z.core.$ZodType;
    };
  };
  if (def.getter !== undefined) return unwrap(def.getter());
  if (def.options !== undefined) return def.options.flatMap(unwrap);
  const inner = def.innerType ?? def.in;
  return inner === undefined ? [schema] : unwrap(inner);
}

function article(noun: string): string {
  const plain = noun === "record" || noun === "object" ? "mapping" : noun === "array" ? "list" : noun;
  return /^[aeiou]/.test(plain) ? `an ${plain}` : `a ${plain}`;
}

function describe(value: unknown): string {
  if (value === null) return "nothing";
  if (Array.isArray(value)) return "a list";
  if (typeof value === "object") return "a mapping";
  return `${typeof value === "string" ? "the text" : `the ${typeof value}`} ${JSON.stringify(value)}`;
}
