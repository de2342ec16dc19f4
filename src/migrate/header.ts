import { formatDiagnostic } from "../core/diagnostic.ts";
import { type Duration, milliseconds, parseDuration } from "../core/duration.ts";
import { OpsError } from "../core/errors.ts";
import { suggestion } from "../core/suggestion.ts";
import { lineComments } from "./line-comments.ts";
import type { Problem } from "./problem.ts";
import { placeOfIndex } from "./sql-position.ts";

/** What a file says about itself in `-- ops: key=value …` lines before its first statement. */
export interface MigrationSettings {
  /** `file`: the whole file in one transaction. `none`: statement by statement, with its place recorded. */
  readonly transaction: "file" | "none";
  /** Undefined: what the command says. */
  readonly lockTimeout: Duration | undefined;
  /** Undefined: what the server says. */
  readonly statementTimeout: Duration | undefined;
  readonly phase: "expand" | "contract";
  readonly allow: readonly { readonly rule: string; readonly because: string }[];
  readonly batch: BatchSettings | undefined;
}

/** How a backfill runs in short transactions over `:batch_start` and `:batch_end`. */
export interface BatchSettings {
  readonly table: string;
  readonly key: string;
  /** Rows of the first batch. */
  readonly size: number;
  /** Between two batches. */
  readonly pause: Duration;
  /** Replication lag above which it waits; undefined: does not look. */
  readonly maxLag: Duration | undefined;
  /** How long one batch should take; the size follows it. */
  readonly target: Duration;
}

export interface Header {
  readonly settings: MigrationSettings;
  readonly problems: readonly Problem[];
}

export const defaultSettings: MigrationSettings = {
  transaction: "file",
  lockTimeout: undefined,
  statementTimeout: undefined,
  phase: "expand",
  allow: [],
  batch: undefined,
};

const keys = ["transaction", "lock_timeout", "statement_timeout", "phase", "allow", "batch"];
const batchKeys = ["table", "key", "size", "pause", "max-lag", "target"];
const largestSize = 1_000_000;
const mark = /^--[ \t]*ops:/i;
/** What was meant as a setting and would be taken for a remark: `-- ops phase=contract`. */
const nearMark =
  /^-[-\s\u200b]*ops[\s\u200b]*[:;=]?[\s\u200b]*(?:(?:transaction|lock[-_]timeout|statement[-_]timeout|phase|allow)\s*=|batch\s+[\w-]+=)/i;

/** A mistake at an index into the file. */
class HeaderMistake extends Error {
  readonly index: number;
  readonly hint: string;

  constructor(index: number, message: string, hint: string) {
    super(message);
    this.index = index;
    this.hint = hint;
  }
}

/** Reads the header of a file. `fileName` is for the messages. */
export function readHeader(sql: string, fileName: string): Header {
  if (!/\bops\b/i.test(sql)) return { settings: defaultSettings, problems: [] };
  const problems: Problem[] = [];
  const seen = new Set<string>();
  let settings = defaultSettings;
  for (const { text, index, beforeStatements } of lineComments(sql)) {
    try {
      const begin = markOf(text, index);
      if (begin === undefined) continue;
      if (!beforeStatements) {
        throw new HeaderMistake(
          index,
          "settings stand before the first statement",
          "move this line to the top of the file",
        );
      }
      settings = { ...settings, ...readLine(text, begin.length, index, settings, seen) };
    } catch (error) {
      if (!(error instanceof HeaderMistake)) throw error;
      problems.push(problemOf(error, sql, fileName));
    }
  }
  return { settings, problems };
}

function markOf(comment: string, index: number): string | undefined {
  const begin = mark.exec(comment)?.[0];
  if (begin === undefined && nearMark.test(comment)) {
    throw new HeaderMistake(
      index,
      "looks like a setting, and would be ignored",
      "begin the line with exactly: -- ops: ",
    );
  }
  return begin;
}

function problemOf(mistake: HeaderMistake, sql: string, file: string): Problem {
  const place = placeOfIndex(sql, mistake.index);
  return {
    kind: "header",
    message: formatDiagnostic({ file, ...place, message: mistake.message }),
    hint: mistake.hint,
  };
}

/** One `-- ops:` line; `allow` and `batch` take all of it that follows them. */
function readLine(
  line: string,
  from: number,
  lineStart: number,
  before: MigrationSettings,
  seen: Set<string>,
): Partial<MigrationSettings> {
  let found: Partial<MigrationSettings> = {};
  const word = /[^\s=]+(?:=\S*)?/g;
  word.lastIndex = from;
  for (let match = word.exec(line); match !== null; match = word.exec(line)) {
    const index = lineStart + match.index;
    const [key = "", value] = split(match[0]);
    if (key !== "allow") {
      once(key, seen, index);
      seen.add(key);
    }
    if (key === "batch") return { ...found, batch: readBatch(line, word.lastIndex, lineStart, index) };
    if (key === "allow") {
      return { ...found, allow: [...before.allow, readAllow(value, line.slice(word.lastIndex), index)] };
    }
    found = { ...found, ...readSetting(key, value, index) };
  }
  return found;
}

function once(key: string, seen: ReadonlySet<string> | ReadonlyMap<string, unknown>, index: number): void {
  if (seen.has(key)) throw new HeaderMistake(index, `${key} is set twice`, "keep the one that is meant");
}

function readSetting(key: string, value: string | undefined, index: number): Partial<MigrationSettings> {
  switch (key) {
    case "transaction":
      return { transaction: oneOf(key, value, ["file", "none"] as const, index) };
    case "phase":
      return { phase: oneOf(key, value, ["expand", "contract"] as const, index) };
    case "lock_timeout":
      return { lockTimeout: durationOf(key, value, index) };
    case "statement_timeout":
      return { statementTimeout: durationOf(key, value, index) };
    default:
      throw new HeaderMistake(index, `unknown setting "${key}"`, suggestion(key, keys));
  }
}

function readAllow(rule: string | undefined, rest: string, index: number) {
  const because = /^\s+because\s+(?<why>\S.*?)\s*$/.exec(rest)?.groups?.why;
  if (!rule || because === undefined) {
    throw new HeaderMistake(
      index,
      "a lint rule is allowed for a reason",
      "write: -- ops: allow=RULE because WHY",
    );
  }
  return { rule, because };
}

function readBatch(line: string, from: number, lineStart: number, batchIndex: number): BatchSettings {
  const found = new Map<string, { value: string | undefined; index: number }>();
  // A name in quotes may hold spaces, and a quote twice for one.
  const word = /[^\s=]+(?:=(?:"(?:[^"]|"")*"|[^\s"])*)?/g;
  word.lastIndex = from;
  for (let match = word.exec(line); match !== null; match = word.exec(line)) {
    const index = lineStart + match.index;
    const [key = "", value] = split(match[0]);
    if (!batchKeys.includes(key)) {
      throw new HeaderMistake(index, `unknown setting "${key}" of batch`, suggestion(key, batchKeys));
    }
    once(key, found, index);
    found.set(key, { value, index });
  }
  const text = (key: string): string => {
    const { value } = found.get(key) ?? {};
    if (value) return value;
    throw new HeaderMistake(
      found.get(key)?.index ?? batchIndex,
      `batch needs a ${key}`,
      "write: -- ops: batch table=users key=id size=5000",
    );
  };
  const time = (key: string) => {
    const at = found.get(key);
    return at === undefined ? undefined : durationOf(key, at.value, at.index);
  };
  const size = found.get("size");
  if (size !== undefined && !/^[1-9]\d*$/.test(size.value ?? "")) {
    throw new HeaderMistake(size.index, `"${size.value ?? ""}" is not a number of rows`, "write: size=5000");
  }
  if (Number(size?.value ?? 0) > largestSize) {
    throw new HeaderMistake(
      size?.index ?? batchIndex,
      `a batch has at most ${largestSize} rows`,
      "write: size=5000; it follows the time that a batch takes",
    );
  }
  return {
    table: text("table"),
    key: text("key"),
    size: Number(size?.value ?? 5000),
    pause: time("pause") ?? milliseconds(50),
    maxLag: time("max-lag"),
    target: time("target") ?? milliseconds(500),
  };
}

function split(word: string): [string, string | undefined] {
  const equals = word.indexOf("=");
  return equals === -1 ? [word, undefined] : [word.slice(0, equals), word.slice(equals + 1)];
}

function oneOf<T extends string>(
  key: string,
  value: string | undefined,
  choices: readonly T[],
  index: number,
): T {
  const found = choices.find((each) => each === value);
  if (found !== undefined) return found;
  throw new HeaderMistake(
    index,
    `"${value ?? ""}" is no ${key}`,
    `write ${key}=${choices.join(` or ${key}=`)}`,
  );
}

function durationOf(key: string, value: string | undefined, index: number): Duration {
  try {
    return parseDuration(value ?? "");
  } catch (error) {
    if (!(error instanceof OpsError)) throw error;
    throw new HeaderMistake(index, `${key}: ${error.message}`, error.hint ?? `write ${key}=5s`);
  }
}
