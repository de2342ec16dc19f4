import { OpsError, UsageError } from "../core/errors.ts";
import { definitionSchema } from "./definition.ts";
import { differences } from "./differences.ts";
import type { Difference, FlagSet } from "./flag-set.ts";
import { type Finding, findings } from "./lint.ts";
import { prerequisiteOf, withPrerequisites } from "./prerequisites.ts";
import { usersOf } from "./segment-users.ts";

/**
 * What an edit comes to: the set to store and what is different. Throws `E_FLAG_INVALID`, and `E_FLAG_PROTECTED` where a protected
 * flag would change without a reason.
 *
 * @param reason undefined: there is none
 */
export function prepared(
  now: FlagSet,
  edit: (now: FlagSet) => FlagSet,
  { reason }: { readonly reason?: string | undefined },
): { readonly next: FlagSet; readonly changes: readonly Difference[] } {
  const next = withPrerequisites(edit(now));
  const changes = differences(now, next);
  if (changes.length === 0) return { next: now, changes };
  if (reason === undefined) refuseProtected(now, changes);
  refuseErrors(now, next, changes);
  return { next, changes };
}

/** Whatever the way to the source: a command, a step of a runbook, an import; and by what a protected flag uses. */
function refuseProtected(now: FlagSet, changes: readonly Difference[]): void {
  const isProtected = (name: string) => now.flags.get(name)?.definition.metadata?.protected === true;
  const guarded = changes.filter(({ subject, name }) => subject === "flag" && isProtected(name));
  const [first] = guarded;
  if (first !== undefined) {
    throw needsReason(
      guarded.length === 1
        ? `Flag ${first.name} is protected`
        : `Flags ${guarded.map(({ name }) => name).join(", ")} are protected`,
    );
  }
  for (const name of changedSegments(changes)) {
    const user = [...usersOf(now, [name]).flags].find(isProtected);
    if (user === undefined) continue;
    const needed = prerequisiteOf({ $ref: name });
    const how = needed === undefined ? `uses segment ${name}` : `needs flag ${needed}`;
    throw needsReason(`Flag ${user} is protected and ${how}`);
  }
}

function needsReason(why: string): UsageError {
  return new UsageError("E_FLAG_PROTECTED", `${why}: a change needs a reason`, {
    hint: 'add --reason "why" (in a runbook: reason: …)',
  });
}

function changedSegments(changes: readonly Difference[]): string[] {
  return changes.filter((each) => each.subject === "segment").map((each) => each.name);
}

/**
 * Only what the edit brings in: a mistake that somebody made by hand must not stand in the way of a kill. Held to the
 * rules is what was changed, and everything that uses a changed segment, now or when it is on again.
 */
function refuseErrors(now: FlagSet, next: FlagSet, changes: readonly Difference[]): void {
  // One that was taken away, and comes back by an undo.
  for (const { subject, name, after } of changes) {
    if (subject === "flag" && after !== null && !definitionSchema.safeParse(after).success)
      throw unreadable(name);
  }
  const users = usersOf(next, changedSegments(changes));
  const only = new Set([...changes.map((each) => each.name), ...users.flags, ...users.segments]);
  const errorsOf = (set: FlagSet) => findings(set, { only }).filter((each) => each.severity === "error");
  const found = errorsOf(next);
  if (found.length === 0) return;
  const old = new Set(errorsOf(now).map(shownFinding));
  const errors = found.filter((each) => !old.has(shownFinding(each)));
  const [first] = errors;
  if (first === undefined) return;
  throw new UsageError("E_FLAG_INVALID", errors.map(shownFinding).join("; "), {
    hint: first.hint ?? "see docs/flags.md for the format",
    details: errors.map(({ subject, name, rule, message }) => ({ subject, name, rule, message })),
  });
}

export function shownFinding({ subject, name, message }: Finding): string {
  return `${subject} ${name}: ${message}`;
}

/** The error of whoever needs to read a flag that somebody broke by hand. */
export function unreadable(name: string): UsageError {
  return new UsageError("E_FLAG_INVALID", `The definition of flag ${name} is not one of flagd`, {
    hint: `somebody wrote it by hand; mend it there, or take it away: ops flag remove ${name}`,
  });
}

/** The error of a source that sees a change which went past its lock. */
export function changedByHand(name: string, place: string): OpsError {
  return new OpsError("E_FLAG_CHANGED", `Flag ${name} in ${place} was changed while it was being written`, {
    hint: "nothing was written; look at it and try again",
  });
}
