import { exceeds } from "../core/threshold.ts";
import type { CheckLimits, Judgement } from "../run/check.ts";

export function hasLimits(limits: CheckLimits): boolean {
  return limits.fail !== undefined || limits.warn !== undefined;
}

/** True where a limit is a duration: then the value must be one too, for 12 could be seconds or milliseconds. */
export function needsDuration(limits: CheckLimits): boolean {
  return limits.fail?.unit === "duration" || limits.warn?.unit === "duration";
}

/** A number against its limits; `fail` is looked at first. */
export function judgeNumber(value: number, shown: string, limits: CheckLimits): Judgement {
  for (const status of ["fail", "warn"] as const) {
    const limit = limits[status];
    if (limit !== undefined && exceeds(value, limit)) {
      return { status, reason: `${shown}, limit ${limit.text.trim()}` };
    }
  }
  const texts = [limits.fail, limits.warn].flatMap((each) => (each === undefined ? [] : [each.text.trim()]));
  return {
    status: "pass",
    reason: texts.length === 0 ? shown : `${shown}, within limit ${texts.join(" and ")}`,
  };
}
