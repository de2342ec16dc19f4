import { UsageError } from "./errors.ts";

/** A share of 100: 10 means 10%. Between 0 and 100. */
export type Percent = number & { readonly __unit: "percent" };

/** `10%`, `0.5%`. A bare number is refused: 0.1 could mean 0.1% or 10%. */
export function parsePercent(text: string): Percent {
  const match = /^(\d+(?:\.\d+)?)%$/.exec(text.trim());
  const value = match === null ? Number.NaN : Number(match[1]);
  if (!(value >= 0 && value <= 100)) {
    throw new UsageError("E_PERCENT", `"${text}" is not a percentage between 0% and 100%`, {
      hint: match === null ? "write it with its sign: 10%" : "write at most 100%",
    });
  }
  return value as Percent;
}

export function percent(value: number): Percent {
  return value as Percent;
}

/** `10%`, `0.25%`; at most three significant decimals, no trailing zeros. */
export function formatPercent(value: number): string {
  return `${Number(value.toFixed(value < 1 ? 3 : 2))}%`;
}
