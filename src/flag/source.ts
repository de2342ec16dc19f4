import { z } from "zod";
import { UsageError } from "../core/errors.ts";
import { name } from "../core/schema.ts";
import { suggestion } from "../core/suggestion.ts";
import type { FlagDefinition } from "../flag-source/definition.ts";
import type { FlagSet } from "../flag-source/flag-set.ts";
import type { ChangeNote, FlagSource } from "../flag-source/flag-source.ts";
import { openFlagSource } from "../flag-source/open-source.ts";
import { unreadable } from "../flag-source/prepared.ts";
import type { OperationContext } from "../run/context.ts";

export const flagName = name("The flag");
export const source = name(
  "Where the flag lives; default: the only flag source, or the default database",
).optional();
export const reason = z
  .string()
  .min(1, "must not be empty")
  .describe("Why; kept in the history, and needed for a protected flag")
  .optional();

/** Opens nothing yet; the caller closes it. */
export function openSource(context: OperationContext, name: string | undefined): FlagSource {
  return openFlagSource(context.environment.flagSource(name), {
    stateDirectory: context.stateDirectory,
    now: () => context.clock.now(),
    signal: context.signal,
  });
}

/** Opens the source, works, closes it whatever happens. */
export async function withFlagSource<T>(
  context: OperationContext,
  name: string | undefined,
  work: (source: FlagSource) => Promise<T>,
): Promise<T> {
  const opened = openSource(context, name);
  try {
    return await work(opened);
  } finally {
    await opened.close();
  }
}

export function changeNote(
  context: OperationContext,
  operation: string,
  reason: string | undefined,
): ChangeNote {
  return { actor: context.actor, run: context.runId, operation, reason };
}

export function definitionIn(set: FlagSet, flag: string): FlagDefinition | null {
  return set.flags.get(flag)?.definition ?? null;
}

/** Throws `E_FLAG_INVALID` where what stands there is no definition. */
export function refuseUnreadable(set: FlagSet, flag: string): void {
  if (set.unreadable?.has(flag) === true) throw unreadable(flag);
}

/** Throws `E_FLAG_UNKNOWN` with the name that was probably meant, and `E_FLAG_INVALID` for one that cannot be read. */
export function requireFlag(set: FlagSet, flag: string): FlagDefinition {
  const found = definitionIn(set, flag);
  if (found !== null) return found;
  refuseUnreadable(set, flag);
  throw new UsageError("E_FLAG_UNKNOWN", `There is no flag "${flag}"`, {
    hint: suggestion(flag, set.flags.keys()),
  });
}
