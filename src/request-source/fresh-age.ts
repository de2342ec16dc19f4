import { formatDuration } from "../core/duration.ts";
import { missing } from "./missing.ts";

/** Throws `E_METRICS_STALE` where figures are too old, or so far ahead that they would never become it. */
export function freshAge(counted: string, maxAge: number, version: string, age: number): number {
  if (age < -maxAge) {
    throw missing(
      "E_METRICS_STALE",
      counted,
      `the time of the figures of ${version} lies ahead of this clock`,
      {
        hint: "let it be seconds since 1970 (not milliseconds) or a time with its zone, and compare the machines' clocks",
      },
    );
  }
  if (age <= maxAge) return Math.max(0, age);
  throw missing(
    "E_METRICS_STALE",
    counted,
    `the figures of ${version} are ${formatDuration(age)} old (limit ${formatDuration(maxAge)})`,
    { hint: 'see why they are not counted any more, or set "max-age:"' },
  );
}
