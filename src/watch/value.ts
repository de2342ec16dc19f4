import { formatDuration } from "../core/duration.ts";
import { formatBytes } from "../core/size.ts";
import type { CheckTally } from "./state.ts";

/** As a chart's title has them. */
export const unitNames: Readonly<Record<CheckTally["unit"], string>> = {
  percent: "%",
  duration: "ms",
  bytes: "bytes",
  number: "",
};

/** A value of a check for a person; a dash where there is none. */
export function shownValue(value: number | null, unit: CheckTally["unit"]): string {
  if (value === null) return "–";
  switch (unit) {
    case "percent":
      return `${short(value)}%`;
    case "duration":
      return formatDuration(value);
    case "bytes":
      return formatBytes(value);
    case "number":
      return short(value);
  }
}

function short(value: number): string {
  return String(Math.abs(value) >= 1000 ? Math.round(value) : Number(value.toPrecision(3)));
}
