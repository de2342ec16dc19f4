import { parseDuration } from "../core/duration.ts";
import { UsageError } from "../core/errors.ts";
import type { Bound } from "../judge/interval.ts";

/** What must hold of a measure against its baseline, or by itself. */
export interface MeasureLimit extends Bound {
  readonly measure: string;
  /** `decrease`: by how much it has become smaller. `value`: what it is now, whatever it was. */
  readonly of: "increase" | "decrease" | "value";
  /** Percent in 0–100 and more, durations in milliseconds, sizes in bytes. */
  readonly value: number;
  readonly unit: "percent" | "duration" | "bytes" | "number";
  /** As it was written. */
  readonly text: string;
}

const sizes: Readonly<Record<string, number>> = {
  B: 1,
  KB: 1e3,
  MB: 1e6,
  GB: 1e9,
  KiB: 2 ** 10,
  MiB: 2 ** 20,
  GiB: 2 ** 30,
};

/**
 * `p95 increase < 100ms`, `memory increase < 5%`, `error-rate +1%` (short for `increase <= 1%`), `start-up < 5s`,
 * `throughput decrease < 10%`. Throws `E_LIMIT`.
 */
export function parseMeasureLimit(text: string): MeasureLimit {
  const [, measure, rest] =
    /^\s*([A-Za-z][A-Za-z0-9._-]*?)\s*((?:\s(?:increase|decrease)\b|[<>=!+]).*)$/s.exec(text) ?? [];
  const [, of, operator, right] =
    /^\s*(increase|decrease)?\s*(<=|>=|<|>|\+)\s*(\S.*?)\s*$/s.exec(rest ?? "") ?? [];
  const isWhole = measure !== undefined && operator !== undefined && right !== undefined;
  if (!isWhole || /^(increase|decrease)$/.test(measure)) throw notLimit(text);
  if (operator === "+" && of !== undefined) throw notLimit(text);
  const common = { measure, text: text.trim(), ...amount(right, text) };
  if (operator === "+") return { ...common, of: "increase", operator: "<=" };
  return {
    ...common,
    of: (of as "increase" | "decrease" | undefined) ?? "value",
    operator: operator as Bound["operator"],
  };
}

function amount(written: string, text: string): Pick<MeasureLimit, "value" | "unit"> {
  const right = written.replace(/(?<=\d)\s+(?=[A-Za-z%])/, "");
  const [, number, unit = ""] = /^(\d+(?:\.\d+)?)(%|[KMG]i?B|B)?$/.exec(right) ?? [];
  if (number === undefined) {
    if (!/^\d/.test(right)) throw notLimit(text);
    return { value: parseDuration(right), unit: "duration" };
  }
  if (unit === "%") return { value: Number(number), unit: "percent" };
  if (unit === "") return { value: Number(number), unit: "number" };
  return { value: Number(number) * (sizes[unit] ?? Number.NaN), unit: "bytes" };
}

function notLimit(text: string): UsageError {
  return new UsageError("E_LIMIT", `"${text}" is not a limit of a measure`, {
    hint: 'write what must hold: "p95 increase < 100ms", "memory increase < 5%", "error-rate +1%", "start-up < 5s"',
  });
}
