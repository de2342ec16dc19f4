import { type Document, isAlias, isScalar, type Scalar, visit, type YAMLError } from "yaml";

/** A mistake in YAML's own syntax, in words; `offset` counts UTF-16 units into the text. */
export interface SyntaxMistake {
  readonly offset: number;
  readonly message: string;
  readonly hint?: string | undefined;
}

/** The mistakes of a text. The parser stumbles on after the first one of a line; what it says then is noise. */
export function syntaxMistakes(text: string, document: Document): SyntaxMistake[] {
  const found = [...document.errors, ...document.warnings].map((error) => inWords(error, text, document));
  const perLine = new Map<number, SyntaxMistake>();
  for (const mistake of found.length > 0 ? found : unknownAnchors(document)) {
    const line = text.slice(0, mistake.offset).split("\n").length;
    if (!perLine.has(line)) perLine.set(line, mistake);
  }
  return [...perLine.values()];
}

function inWords({ code, message, pos }: YAMLError, text: string, document: Document): SyntaxMistake {
  const offset = pos[0];
  const expression = expressionOnLine(text, offset);
  if (expression !== undefined) return expression;
  switch (code) {
    case "TAB_AS_INDENT":
      return { offset, message: "YAML cannot be indented with tabs", hint: "use spaces" };
    case "BAD_INDENT":
    case "BAD_COLLECTION_TYPE":
      return unclosedBracket(message, text, offset) ?? misaligned(text, offset);
    case "MISSING_CHAR":
      return (
        unclosedBracket(message, text, offset) ??
        unclosedQuote(document, text) ??
        missingColon(message, text, offset)
      );
    case "DUPLICATE_KEY":
      return duplicateKey(text, offset);
    case "MULTIPLE_DOCS":
      return {
        offset,
        message: "a second document begins here",
        hint: 'keep one document in a file: remove "---" and what follows it',
      };
    case "BAD_SCALAR_START":
      return {
        offset,
        message: `a text without quotes cannot begin with "${text[offset] ?? ""}"`,
        hint: "put it in quotes",
      };
    case "BLOCK_AS_IMPLICIT_KEY":
      return {
        offset,
        message:
          'a value cannot hold ": " without quotes, nor be followed by a line that is indented further',
        hint: "put the text in quotes, or align the line below with this one",
      };
    case "MULTILINE_IMPLICIT_KEY":
      return { offset, message: "this line is no key", hint: 'write "key: value"' };
    case "UNEXPECTED_TOKEN":
      return unexpected(message, text, offset);
    default:
      if (message.includes("without - indicator")) return misaligned(text, offset);
      return { offset, message: message.split("\n")[0] ?? message };
  }
}

function misaligned(text: string, offset: number): SyntaxMistake {
  const start = text.lastIndexOf("\n", offset - 1) + 1;
  const indent = /^ */.exec(text.slice(start))?.[0].length ?? 0;
  return {
    offset: Math.max(offset, start + indent),
    message: "this line is indented like nothing above it",
    hint: "align it with the key or the dash that it belongs to",
  };
}

function unexpected(message: string, text: string, offset: number): SyntaxMistake {
  if (/block-seq-ind on same line/.test(message)) {
    return {
      offset,
      message: "a list cannot begin on the line of its key",
      hint: "begin it on the next line",
    };
  }
  const start = text.lastIndexOf("\n", offset - 1) + 1;
  if (text.slice(start, offset).trim() === "") return misaligned(text, offset);
  return {
    offset,
    message: "this cannot stand here",
    hint: "put the whole value in quotes, or begin a new line",
  };
}

function unclosedBracket(message: string, text: string, offset: number): SyntaxMistake | undefined {
  const close = /end with an? ([\]}])/.exec(message)?.[1];
  if (close === undefined) return undefined;
  const open = unclosed(text.slice(0, offset), close === "]" ? "[" : "{", close);
  return open === undefined
    ? undefined
    : { offset: open, message: `"${text[open]}" is never closed`, hint: `end it with "${close}"` };
}

/** Of the brackets before the place where the parser gave up, the innermost one without its partner. */
function unclosed(text: string, open: string, close: string): number | undefined {
  const waiting: number[] = [];
  for (const [index, character] of text.split("").entries()) {
    if (character === open) waiting.push(index);
    else if (character === close) waiting.pop();
  }
  return waiting.at(-1);
}

/** The parser notices at the end of the file; the person must look where the quote was opened. */
function unclosedQuote(document: Document, text: string): SyntaxMistake | undefined {
  let open: number | undefined;
  visit(document, {
    Scalar: (_, node: Scalar) => {
      const [start, end] = node.range ?? [0, 0];
      const quote = text[start];
      if ((quote === '"' || quote === "'") && (end - start < 2 || text[end - 1] !== quote)) open ??= start;
    },
  });
  if (open === undefined) return undefined;
  return {
    offset: open,
    message: `the quote ${text[open]} is never closed`,
    hint: `end the text with ${text[open]}`,
  };
}

function missingColon(message: string, text: string, offset: number): SyntaxMistake {
  if (!/Implicit map keys/.test(message)) return { offset, message };
  const start = text.lastIndexOf("\n", offset - 1) + 1;
  const indent = /^[ -]*/.exec(text.slice(start))?.[0].length ?? 0;
  return {
    offset: start + indent,
    message: "this line is no key",
    hint: 'write "key: value", with a space after the colon',
  };
}

function duplicateKey(text: string, offset: number): SyntaxMistake {
  const key = /^["']?([^"':\s]+)/.exec(text.slice(offset))?.[1] ?? "";
  return { offset, message: `the key "${key}" is given twice`, hint: "keep one of the two" };
}

/** Inside `{ }` and `[ ]` the brackets of an expression are brackets of YAML. */
function expressionOnLine(text: string, offset: number): SyntaxMistake | undefined {
  const start = text.lastIndexOf("\n", offset - 1) + 1;
  const end = text.indexOf("\n", offset);
  const line = text.slice(start, end === -1 ? undefined : end);
  const open = /[{[,].*?(?<!["'$])(\$\{\{)/.exec(line);
  if (open === null || !/[{[,].*[:,[]\s*\$\{\{/.test(line)) return undefined;
  return {
    offset: start + open.index + open[0].length - 3,
    message: "an expression inside { } or [ ] needs quotes",
    hint: `write "\${{ … }}"`,
  };
}

/** An alias (`*name`) of nothing is only met when the document is turned into data, without its place. */
function unknownAnchors(document: Document): SyntaxMistake[] {
  const anchors = new Set<string>();
  const found: SyntaxMistake[] = [];
  visit(document, {
    Node: (_, node) => {
      if (isAlias(node) && !anchors.has(node.source)) {
        found.push({
          offset: node.range?.[0] ?? 0,
          message: `there is no anchor "${node.source}" above`,
          hint: `mark a value with &${node.source} first, or put the text in quotes`,
        });
      }
      if (!isAlias(node) && node.anchor !== undefined) anchors.add(node.anchor);
      return isScalar(node) ? visit.SKIP : undefined;
    },
  });
  return found;
}
