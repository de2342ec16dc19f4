import { parseDuration } from "./duration.ts";
import { UsageError } from "./errors.ts";
import { parsePercent } from "./percent.ts";

/** A limit for a measured number: `> 5%`, `> 500ms`, `<= 3`, `== 0`. */
export interface Threshold {
  readonly operator: ">" | ">=" | "<" | "<=" | "==" | "!=";
  /** Percent in 0–100, durations in milliseconds, sizes and counts as they are. */
  readonly value: number;
  readonly unit: "percent" | "duration" | "bytes" | "number";
  /** As it was written. */
  readonly text: string;
}

const sizes: Record<string, number> = {
  B: 1,
  KiB: 2 ** 10,
  MiB: 2 ** 20,
  GiB: 2 ** 30,
  TiB: 2 ** 40,
  KB: 1e3,
  MB: 1e6,
  GB: 1e9,
  TB: 1e12,
};

/** Throws `E_THRESHOLD` where the text is no comparison. */
export function parseThreshold(text: string): Threshold {
  const match = /^\s*(>=|<=|==|!=|>|<)\s*(\S.*?)\s*$/.exec(text);
  const operator = match?.[1] as Threshold["operator"] | undefined;
  const right = match?.[2];
  if (operator === undefined || right === undefined) throw notThreshold(text);
  if (right.endsWith("%")) return { operator, value: parsePercent(right), unit: "percent", text };
  const size = /^(\d+(?:\.\d+)?)\s*(B|[KMGT]iB|[KMGT]B)$/.exec(right);
  if (size !== null)
    return { operator, value: Number(size[1]) * (sizes[size[2] ?? ""] ?? Number.NaN), unit: "bytes", text };
  if (/^-?\d+(\.\d+)?$/.test(right)) return { operator, value: Number(right), unit: "number", text };
  if (/^\d/.test(right)) return { operator, value: parseDuration(right), unit: "duration", text };
  throw notThreshold(text);
}

export function exceeds(value: number, threshold: Threshold): boolean {
  switch (threshold.operator) {
    case ">":
      return value > threshold.value;
    case ">=":
      return value >= threshold.value;
    case "<":
      return value < threshold.value;
    case "<=":
      return value <= threshold.value;
    case "==":
      return value === threshold.value;
    case "!=":
      return value !== threshold.value;
  }
}

function notThreshold(text: string): UsageError {
  return new UsageError("E_THRESHOLD", `"${text}" is not a threshold`, {
    hint: 'write a comparison: "> 5%", "> 500ms", "<= 3", "== 0"',
  });
}
