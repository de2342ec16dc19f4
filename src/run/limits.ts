import { exceeds } from "../core/threshold.ts";
import type { CheckLimits, Judgement } from "./check.ts";

/**
 * Where what was measured meets the limits of a check. Pure.
 *
 * @param reason one clause with the value; the limit that decided is named behind it
 */
export function judgeByLimits(value: number, reason: string, { fail, warn }: CheckLimits): Judgement {
  const limit = fail === undefined ? reason : `${reason}, limit ${fail.text}`;
  if (fail !== undefined && exceeds(value, fail)) return { status: "fail", reason: limit };
  if (warn !== undefined && exceeds(value, warn)) {
    return { status: "warn", reason: `${reason}, warns at ${warn.text}` };
  }
  return { status: "pass", reason: limit };
}
