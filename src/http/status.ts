import { z } from "zod";

/** One status or several that count as success. */
export const statusInput = () =>
  z
    .union([z.number().int().min(100).max(599), z.array(z.number().int().min(100).max(599)).min(1)])
    .describe("Status that counts as success, or a list of them");

export type ExpectedStatus = number | readonly number[];

export function isExpectedStatus(
  status: number,
  expected: ExpectedStatus | undefined,
  usual: readonly [number, number],
): boolean {
  if (expected === undefined) return status >= usual[0] && status <= usual[1];
  return typeof expected === "number" ? status === expected : expected.includes(status);
}

/** `200`, `200 or 204`, `200-399`. */
export function formatExpectedStatus(
  expected: ExpectedStatus | undefined,
  usual: readonly [number, number],
): string {
  if (expected === undefined) return usual.join("-");
  return typeof expected === "number" ? String(expected) : expected.join(" or ");
}
