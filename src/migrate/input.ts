import { z } from "zod";
import { type Duration, milliseconds } from "../core/duration.ts";
import { UsageError } from "../core/errors.ts";
import { duration, name } from "../core/schema.ts";
import { suggestion } from "../core/suggestion.ts";
import type { LockLimits } from "./transaction.ts";
import { canonicalVersion } from "./version.ts";

export const database = name("The database to work on; default: the only one, or main").optional();

/** YAML reads 0002 as the number 2: versions are compared as numbers, so that is the same. */
export const version = (description: string) =>
  z
    .union([z.string().regex(/^\S+$/, "must be a version"), z.number().int().nonnegative()])
    .transform(String)
    .describe(description)
    .optional();

export const steps = (description: string) =>
  z.int().min(1, "must be at least 1").describe(description).optional();

/** How runs of migrations treat locks, the same in both directions. */
export const lockFields = {
  "lock-timeout": duration(
    "How long a statement waits for a lock before the file is rolled back and tried again",
  )
    .refine((each) => each >= milliseconds(1), "must be at least 1ms: PostgreSQL takes 0 for no limit")
    .prefault("2s"),
  attempts: z
    .int()
    .min(1, "must be at least 1")
    .default(5)
    .describe("How often a file is tried when it does not get its locks"),
  "lock-wait": duration("How long to wait for another run of migrations").prefault("1m"),
};

export function limits(input: { "lock-timeout": Duration; attempts: number }): LockLimits {
  return { lockTimeout: input["lock-timeout"], attempts: input.attempts };
}

export function refuseToWithSteps(input: { to?: string | undefined; steps?: number | undefined }): void {
  if (input.to !== undefined && input.steps !== undefined) {
    throw new UsageError("E_INPUT", "Both to and steps are given, and they may contradict each other", {
      hint: "leave one of them out",
    });
  }
}

/** Throws `E_MIGRATION_UNKNOWN` where no migration has that version. */
export function refuseUnknownVersion(wanted: string, versions: readonly string[]): void {
  if (versions.some((each) => canonicalVersion(each) === canonicalVersion(wanted))) return;
  throw new UsageError("E_MIGRATION_UNKNOWN", `There is no migration with version ${wanted}`, {
    hint: suggestion(wanted, versions),
  });
}
