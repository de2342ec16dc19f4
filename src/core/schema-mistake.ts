import type { z } from "zod";
import { nearest, suggestion } from "./suggestion.ts";
import type { Path } from "./yaml-source.ts";

/** What a schema has against a value, in words; a place is given to it by the source that the value came from. */
export interface SchemaMistake {
  /** Of the value; of the key's mapping where `key` is there. */
  readonly path: Path;
  /** The key that should not be there, or cannot be called so. */
  readonly key?: string;
  /** The key that is not there. */
  readonly missing?: string;
  readonly message: string;
  /** What to write instead. */
  readonly hint?: string | undefined;
}

/** All mistakes that zod found, `reportInput` on; a key that is only misspelt is not reported missing as well. */
export function schemaMistakes(schema: z.ZodType, error: z.ZodError): SchemaMistake[] {
  const mistakes = flatten(error.issues).flatMap((issue) => inWords(schema, issue));
  return mistakes.filter(
    ({ missing, path }) =>
      missing === undefined ||
      !mistakes.some(
        (other) =>
          other.key !== undefined && samePath(other.path, path) && other.hint === didYouMean(missing),
      ),
  );
}

/** The keys that the object at a path of a schema may have; of several kinds of object those of the one that it says it is. */
export function knownKeys(schema: z.ZodType, path: readonly PropertyKey[], input?: unknown): string[] {
  const shapes = schemasAt(schema, path)
    .flatMap(unwrap)
    .flatMap((each) => ("shape" in each ? [each.shape as Record<string, z.ZodType>] : []));
  const meant = shapes.filter((shape) => isOfKind(shape, input));
  return (meant.length === 0 ? shapes : meant).flatMap((shape) => Object.keys(shape));
}

/** Whether every key that can have one value only has it. */
function isOfKind(shape: Readonly<Record<string, z.ZodType>>, input: unknown): boolean {
  if (!isMapping(input)) return true;
  return Object.entries(shape).every(([key, field]) => {
    const isLiteral = unwrap(field).every((each) => each._zod.def.type === "literal");
    return !isLiteral || field.safeParse((input as Record<string, unknown>)[key]).success;
  });
}

function inWords(schema: z.ZodType, issue: z.core.$ZodIssue): SchemaMistake[] {
  const path = issue.path.filter((each) => typeof each !== "symbol");
  switch (issue.code) {
    case "unrecognized_keys":
      return issue.keys.map((key) => ({ path, key, ...unknownKey(schema, path, key, issue.input) }));
    case "invalid_key":
      return [
        {
          path: path.slice(0, -1),
          key: String(path.at(-1)),
          message: `the name ${JSON.stringify(String(path.at(-1)))} ${issue.issues[0]?.message ?? "is not allowed"}`,
        },
      ];
    case "invalid_union":
      if ("discriminator" in issue && issue.discriminator !== undefined) return [otherKind(path, issue)];
      return [issue.input === undefined ? missingKey(path) : { path, ...wrongType(schema, issue) }];
    case "invalid_type":
      return [issue.input === undefined ? missingKey(path) : { path, ...wrongType(schema, issue) }];
    case "invalid_value":
      return [
        issue.input === undefined ? missingKey(path) : { path, ...notOneOf(issue.values, issue.input) },
      ];
    case "too_small":
    case "too_big":
      return [{ path, message: subject(issue.input) + (own(issue.message) ?? limit(issue)) }];
    case "invalid_format":
      return [
        { path, message: subject(issue.input) + (own(issue.message) ?? "does not have the right form") },
      ];
    default:
      return [{ path, message: issue.message, hint: customHint(issue) }];
  }
}

function unknownKey(schema: z.ZodType, path: Path, key: string, input: unknown) {
  const known = knownKeys(schema, path, input);
  const given = new Set(typeof input === "object" && input !== null ? Object.keys(input) : []);
  const meant = nearest(key, known);
  const message = `unknown key "${key}"`;
  if (meant !== undefined && given.has(meant))
    return { message, hint: `"${meant}" is there already: remove this` };
  return { message, hint: suggestion(key, known) };
}

/** The key that says which kind of mapping it is names none. */
function otherKind(path: Path, issue: z.core.$ZodIssueInvalidUnion & { options?: unknown }): SchemaMistake {
  const kinds = (Array.isArray(issue.options) ? issue.options : []).filter(
    (each) => typeof each === "string",
  );
  const input = isMapping(issue.input)
    ? (issue.input as Record<string, unknown>)[String(path.at(-1))]
    : undefined;
  return { path, ...notOneOf(kinds, input) };
}

function missingKey(path: Path): SchemaMistake {
  const missing = String(path.at(-1) ?? "");
  return {
    path: path.slice(0, -1),
    missing,
    message: `missing key "${missing}"`,
    hint: `add "${missing}: …" here`,
  };
}

function wrongType(schema: z.ZodType, issue: z.core.$ZodIssue): Omit<SchemaMistake, "path"> {
  const { input } = issue;
  const expected = (issue.code === "invalid_type" ? issue.expected : "").split("|");
  const message = `expected ${expected.map(article).join(" or ")}, found ${describe(input)}`;
  if (expected.includes("string") && (typeof input === "number" || typeof input === "boolean")) {
    const quotes = expected.includes("boolean") ? undefined : `put it in quotes: "${input}"`;
    return asText(schema, issue.path, input) ?? { message, hint: quotes };
  }
  if (expected.includes("array") && (typeof input === "string" || input === null)) {
    return { message, hint: asList(input ?? "") };
  }
  if ((expected.includes("object") || expected.includes("record")) && !isMapping(input)) {
    return { message, hint: asMapping(schema, issue.path) };
  }
  if (
    typeof input === "string" &&
    input !== "" &&
    expected.some((each) => each === "number" || each === "int")
  ) {
    return { message, hint: Number.isNaN(Number(input)) ? undefined : `write it without quotes: ${input}` };
  }
  return { message };
}

/** `timeout: 600` is not mended by quotes alone: what would the field say to "600"? */
function asText(
  schema: z.ZodType,
  path: readonly PropertyKey[],
  input: number | boolean,
): Omit<SchemaMistake, "path"> | undefined {
  for (const each of schemasAt(schema, path)) {
    const issue = (each as z.ZodType).safeParse(String(input)).error?.issues[0];
    if (issue === undefined) continue;
    const [mistake] = inWords(each as z.ZodType, { ...issue, input: String(input) } as z.core.$ZodIssue);
    if (mistake !== undefined) return { message: mistake.message, hint: mistake.hint };
  }
  return undefined;
}

function asList(text: string): string {
  const words = text.split(/[\s,]+/).filter((word) => word !== "");
  const simple = text.length <= 60 && !/["'\\$]/.test(text) && words.length > 0;
  return `write a list: ${simple ? `[${words.map((word) => JSON.stringify(word)).join(", ")}]` : "[first, second]"}`;
}

/** With the keys that cannot be left out; by the name of the mapping where its keys are free. */
function asMapping(schema: z.ZodType, path: readonly PropertyKey[]): string {
  const shapes = schemasAt(schema, path)
    .flatMap(unwrap)
    .flatMap((each) => ("shape" in each ? [each.shape as Record<string, z.ZodType>] : []));
  const needed = shapes.flatMap((shape) =>
    Object.keys(shape).filter((key) => shape[key]?.safeParse(undefined).success === false),
  );
  if (needed.length > 0) return `write { ${needed.map((key) => `${key}: …`).join(", ")} }`;
  const last = path.at(-1);
  return typeof last === "string" ? `write ${last}: { name: … }` : 'write lines of "key: value"';
}

function notOneOf(allowed: readonly z.core.util.Primitive[], input: unknown): Omit<SchemaMistake, "path"> {
  const values = allowed.map((each) => JSON.stringify(each));
  if (values.length === 1) {
    return { message: `expected ${values[0]}, found ${describe(input)}`, hint: `write ${values[0]}` };
  }
  const meant = typeof input === "string" ? nearest(input, allowed.map(String)) : undefined;
  return {
    message: `expected ${values.slice(0, -1).join(", ")} or ${values.at(-1)}, found ${describe(input)}`,
    hint: meant === undefined ? undefined : didYouMean(meant),
  };
}

function limit(issue: z.core.$ZodIssueTooSmall | z.core.$ZodIssueTooBig): string {
  const [bound, value] =
    issue.code === "too_small" ? ["at least", issue.minimum] : ["at most", issue.maximum];
  if (issue.origin === "string")
    return issue.code === "too_small" ? "must not be empty" : `must have ${bound} ${value} characters`;
  if (issue.origin === "array") return `needs ${bound} ${value} ${value === 1 ? "entry" : "entries"}`;
  return `must be ${bound} ${value}`;
}

/** A schema's own words go on from the value ("must be …"); zod's standard ones are not for people. */
function own(message: string): string | undefined {
  return /^(must|needs|expected)\b/.test(message) ? message : undefined;
}

function subject(input: unknown): string {
  return (typeof input === "string" && input !== "") || typeof input === "number"
    ? `${JSON.stringify(input)} `
    : "";
}

function customHint(issue: z.core.$ZodIssue): string | undefined {
  const hint: unknown = issue.code === "custom" ? issue.params?.hint : undefined;
  return typeof hint === "string" ? hint : undefined;
}

function didYouMean(word: string): string {
  return `did you mean "${word}"?`;
}

function samePath(a: Path, b: Path): boolean {
  return a.length === b.length && a.every((key, index) => key === b[index]);
}

/**
 * A union's issues are those of its most promising branch: the one whose trouble lies deepest. Where the value is of
 * no branch's type, they become one.
 */
function flatten(issues: readonly z.core.$ZodIssue[]): z.core.$ZodIssue[] {
  return issues.flatMap((issue) => {
    if (issue.code !== "invalid_union" || issue.errors.length === 0) return [issue];
    const branches = issue.errors.map((branch) => flatten(branch));
    const types = branches.map(([only, ...more]) =>
      only?.code === "invalid_type" && only.path.length === 0 && more.length === 0 ? only : undefined,
    );
    if (types.every((each) => each !== undefined)) {
      const expected = [...new Set(types.map((each) => each.expected))].join("|");
      return [{ ...types[0], expected, input: issue.input, path: issue.path } as z.core.$ZodIssue];
    }
    const depth = (branch: z.core.$ZodIssue[]) =>
      Math.max(0, ...branch.map((each) => each.path.length + (each.code === "invalid_type" ? 0 : 0.5)));
    const best = branches.reduce((a, b) => (depth(b) > depth(a) ? b : a));
    return best.map((each) => ({ ...each, path: [...issue.path, ...each.path] }) as z.core.$ZodIssue);
  });
}

function schemasAt(schema: z.ZodType, path: readonly PropertyKey[]): z.core.$ZodType[] {
  let current: z.core.$ZodType[] = [schema];
  for (const key of path) current = current.flatMap((each) => inside(unwrap(each), key));
  return current;
}

function inside(schemas: z.core.$ZodType[], key: PropertyKey): z.core.$ZodType[] {
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

function isMapping(value: unknown): boolean {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

const nouns: Readonly<Record<string, string>> = {
  record: "mapping",
  object: "mapping",
  array: "list",
  string: "text",
  int: "whole number",
  boolean: "true or false",
};

function article(type: string): string {
  const noun = nouns[type] ?? type;
  return noun === "true or false" ? noun : `a ${noun}`;
}

function describe(value: unknown): string {
  if (value === null) return "nothing";
  if (Array.isArray(value)) return "a list";
  if (typeof value === "object") return "a mapping";
  if (typeof value === "boolean") return String(value);
  return `the ${typeof value === "string" ? "text" : typeof value} ${JSON.stringify(value)}`;
}
