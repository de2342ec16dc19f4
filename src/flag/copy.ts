import { OpsError } from "../core/errors.ts";
import { type FlagDefinition, type Rule, type Scalar, sameJson } from "../flag-source/definition.ts";
import { differences } from "../flag-source/differences.ts";
import { type Difference, type FlagSet, withEvaluator, withFlag } from "../flag-source/flag-set.ts";
import { isKilled } from "../flag-source/off.ts";
import { prepared, unreadable } from "../flag-source/prepared.ts";
import { isPrerequisiteName } from "../flag-source/prerequisites.ts";
import type { OperationContext } from "../run/context.ts";
import type { Change, UndoResult } from "../run/operation.ts";
import { describeFlag } from "./shown.ts";
import { changeNote, withFlagSource } from "./source.ts";

/** What a copy of flags from one place to another would change; the same differences, the other way round, undo it. */
export type CopyBefore = { differences: Difference[] };

export interface CopyOptions {
  /** Whether flags and segments that are only in the target go. */
  readonly prune: boolean;
  readonly reason?: string | undefined;
}

/** What is different in the target. Throws where a flag there was killed, or is protected and there is no reason. */
export function differencesFrom(from: FlagSet, to: FlagSet, options: CopyOptions): CopyBefore {
  // Half of what is copied would count as all of it.
  for (const name of from.unreadable?.keys() ?? []) throw unreadable(name);
  const copied = keepingKills(from, to);
  const wanted: FlagSet = options.prune ? copied : joined(to, copied);
  const { next } = prepared(to, () => wanted, options);
  // Rules of prerequisites follow from the flags.
  const found = differences(to, next).filter((each) => !isPrerequisiteName(each.name));
  const flags = found.filter((each) => each.subject === "flag" && each.before !== null);
  const named = (is: (definition: FlagDefinition) => boolean) =>
    flags
      .filter(({ name, before }) => !to.unreadable?.has(name) && is(before as FlagDefinition))
      .map((each) => each.name);
  const dead = named(isKilled);
  if (dead.length > 0) {
    throw new OpsError("E_FLAG_KILLED", `Killed flags are not overwritten: ${dead.join(", ")}`, {
      hint: "kill them in what is copied as well, or restore them first: ops flag restore NAME",
      retryable: false,
    });
  }
  return { differences: found };
}

/** What is killed in both places stays as it was killed in the target: two kills differ in their time, and in nothing that counts. */
function keepingKills(from: FlagSet, to: FlagSet): FlagSet {
  const flags = [...from.flags].map(([name, flag]) => {
    const present = to.flags.get(name);
    const isKept = present !== undefined && isKilled(present.definition) && isKilled(flag.definition);
    return [name, isKept ? present : flag] as const;
  });
  return { ...from, flags: new Map(flags) };
}

function joined(to: FlagSet, from: FlagSet): FlagSet {
  const left = [...(to.unreadable ?? [])].filter(([name]) => !from.flags.has(name));
  return {
    flags: new Map([...to.flags, ...from.flags]),
    ...(left.length > 0 && { unreadable: new Map(left) }),
    evaluators: new Map([...to.evaluators, ...from.evaluators]),
    metadata: new Map([...to.metadata, ...from.metadata]),
  };
}

export function copyPlan({ differences: found }: CopyBefore): Change[] {
  return found.map(({ subject, name, before, after }) => {
    const target = `flag:${name}`;
    const text = (value: Difference["before"]) =>
      subject === "flag" ? describeFlag(value as FlagDefinition) : JSON.stringify(value);
    if (after === null)
      return { target, action: "delete", summary: `delete ${subject} ${name}`, from: text(before) };
    if (before === null)
      return { target, action: "create", summary: `create ${subject} ${name}`, to: text(after) };
    return {
      target,
      action: "update",
      summary: `change ${subject} ${name}`,
      from: text(before),
      to: text(after),
    };
  });
}

/** Puts every difference in; all of them or, where one meets something else than was seen, none. */
export async function applyCopy(
  context: OperationContext,
  to: string | undefined,
  operation: string,
  reason: string | undefined,
  { differences: found }: CopyBefore,
): Promise<void> {
  await withFlagSource(context, to, (opened) =>
    opened.update(changeNote(context, operation, reason), (now) =>
      found.reduce((set, each) => {
        const present = presentIn(set, each);
        if (sameJson(present, each.after)) return set;
        if (sameJson(present, each.before)) return withSubject(set, each, each.after);
        throw new OpsError(
          "E_FLAG_CHANGED",
          `${each.subject} ${each.name} was changed since it was looked at`,
          {
            hint: "nothing was written; look at the new plan and run it again",
            retryable: false,
          },
        );
      }, now),
    ),
  );
}

/**
 * Takes all of it back, or nothing where somebody changed a part of it since: flags that need each other would come apart.
 * What was changed is named.
 */
export async function undoCopy(
  context: OperationContext,
  to: string | undefined,
  operation: string,
  { differences: found }: CopyBefore,
): Promise<UndoResult> {
  if (found.length === 0) return { undone: true };
  return withFlagSource(context, to, async (opened): Promise<UndoResult> => {
    const seen = await opened.read();
    if (found.every((each) => sameJson(presentIn(seen, each), each.before))) return { undone: true };
    let others: string[] = [];
    await opened.update(changeNote(context, `${operation} undone`, "the copy is taken back"), (now) => {
      others = found
        .filter((each) => ![each.before, each.after].some((known) => sameJson(presentIn(now, each), known)))
        .map((each) => each.name);
      return others.length > 0 ? now : found.reduce((set, each) => withSubject(set, each, each.before), now);
    });
    if (others.length === 0) return { undone: true };
    return {
      undone: false,
      note: `nothing was taken back, because somebody else has changed in the meantime: ${others.join(", ")}`,
    };
  });
}

function presentIn(set: FlagSet, { subject, name }: Difference): Difference["before"] {
  if (subject === "flag") return set.flags.get(name)?.definition ?? set.unreadable?.get(name) ?? null;
  return (subject === "segment" ? set.evaluators : set.metadata).get(name) ?? null;
}

function withSubject(set: FlagSet, { subject, name }: Difference, value: Difference["before"]): FlagSet {
  if (subject === "flag") return withFlag(set, name, value as FlagDefinition | null);
  if (subject === "segment") return withEvaluator(set, name, value as Rule | null);
  const metadata = new Map(set.metadata);
  if (value === null) metadata.delete(name);
  else metadata.set(name, value as Scalar);
  return { ...set, metadata };
}

/** What a copy answers. */
export function copied({
  differences: found,
}: CopyBefore): Record<"created" | "changed" | "deleted", string[]> {
  const names = (is: (each: Difference) => boolean) => found.filter(is).map((each) => each.name);
  return {
    created: names((each) => each.before === null),
    changed: names((each) => each.before !== null && each.after !== null),
    deleted: names((each) => each.after === null),
  };
}

export function renderCopied(
  { created, changed, deleted }: ReturnType<typeof copied>,
  where: string,
): string {
  const part = (names: readonly string[], what: string) =>
    names.length === 0 ? [] : [`${names.length} ${what}`];
  const parts = [...part(created, "created"), ...part(changed, "changed"), ...part(deleted, "deleted")];
  return parts.length === 0 ? `${where} has it all already` : `${where}: ${parts.join(", ")}`;
}
