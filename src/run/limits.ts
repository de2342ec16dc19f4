import { exceeds } from "../core/threshold.ts";
import type { CheckLimits, Judgement } from "./check.ts";

export function hasLimits(limits: CheckLimits): boolean {
  return limits.fail !== undefined || limits.warn !== undefined;
}

/** True where a limit is a duration: then the value must be one too, for 12 could be seconds or milliseconds. */
export function needsDuration(limits: CheckLimits): boolean {
  return limits.fail?.unit === "duration" || limits.warn?.unit === "duration";
}

/**
 * Where what was measured meets the limits of a check; `fail` is looked at first. Pure.
 *
 * @param reason one clause with the value; the limit that decided is named behind it
 */
export function judgeByLimits(value: number, reason: string, limits: CheckLimits): Judgement {
  for (const status of ["fail", "warn"] as const) {
    const limit = limits[status];
    if (limit !== undefined && exceeds(value, limit)) {
      return { status, reason: `${reason}, limit ${limit.text.trim()}` };
    }
  }
  const texts = [limits.fail, limits.warn].flatMap((each) => (each === undefined ? [] : [each.text.trim()]));
  return {
    status: "pass",
    reason: texts.length === 0 ? reason : `${reason}, within limit ${texts.join(" and ")}`,
  };
}
