import type { Rule } from "../flag-source/definition.ts";
import { emptySet, type FlagSet, type StoredFlag } from "../flag-source/flag-set.ts";
import { findings } from "../flag-source/lint.ts";
import { asKilled, isKilled, withoutMemory } from "../flag-source/off.ts";
import { evaluatorsOf, usersOf } from "../flag-source/segment-users.ts";

/** Something that is wrong in a source, by hand, and what is served in its place. */
export interface Mistake {
  readonly subject: "flag" | "segment";
  readonly name: string;
  readonly message: string;
  /** What was served before it; otherwise asking for it is an error, and nothing of others. */
  readonly isKept: boolean;
}

export interface Servable {
  /** What is without mistakes, or was. */
  readonly set: FlagSet;
  readonly mistakes: readonly Mistake[];
}

/**
 * What may be served of a source: a flag or segment with a mistake stays as it was served before, all others are as they
 * are stored. A kill always counts: a killed flag is what its kill made of it, whatever else is wrong with it.
 *
 * @param before what was served until now
 * @param only what may have a mistake, or had one; default: everything
 */
export function servable(stored: FlagSet, before: FlagSet, only?: ReadonlySet<string>): Servable {
  const flags = new Map(stored.flags);
  for (const [name, flag] of flags) {
    if (isKilled(flag.definition)) flags.set(name, { ...flag, definition: asKilled(flag.definition) });
  }
  const { evaluators: written, metadata } = stored;
  const segments = segmentMistakes({ flags, evaluators: written, metadata }, only);
  const evaluators = new Map(
    [...written].map(([name, rule]) => [
      name,
      (segments.has(name) ? before.evaluators.get(name) : undefined) ?? rule,
    ]),
  );
  const wrong = new Map([
    ...[...(stored.unreadable?.keys() ?? [])].map((name) => [name, "has no definition of flagd"] as const),
    ...flagMistakes({ flags, evaluators, metadata }, only),
  ]);
  for (const name of wrong.keys()) {
    const earlier = before.flags.get(name);
    if (earlier === undefined) flags.delete(name);
    else keep(flags, evaluators, name, earlier, before);
  }
  // What was served before may need a segment that is no longer what it was.
  const again = new Set([...wrong.keys(), ...evaluators.keys()]);
  for (const name of flagMistakes({ flags, evaluators, metadata }, again).keys()) flags.delete(name);
  return {
    set: { flags, evaluators, metadata },
    mistakes: [
      ...[...segments].map(([name, message]): Mistake => {
        return { subject: "segment", name, message, isKept: before.evaluators.has(name) };
      }),
      ...[...wrong].map(([name, message]): Mistake => {
        return { subject: "flag", name, message, isKept: flags.has(name) };
      }),
    ],
  };
}

/** Puts a flag in as it was, with the segments of then that are gone. */
function keep(
  flags: Map<string, StoredFlag>,
  evaluators: Map<string, Rule>,
  name: string,
  earlier: StoredFlag,
  before: FlagSet,
): void {
  flags.set(name, earlier);
  for (const [segment, rule] of evaluatorsOf(before, earlier.definition.targeting)) {
    if (!evaluators.has(segment)) evaluators.set(segment, rule);
  }
}

function segmentMistakes(set: FlagSet, only: ReadonlySet<string> | undefined): Map<string, string> {
  const errors = findings({ ...emptySet, evaluators: set.evaluators }, { only });
  return new Map(
    errors.filter((each) => each.severity === "error").map(({ name, message }) => [name, message]),
  );
}

/** Of flags that are not killed: what counts now, and nothing of what they remember. */
function flagMistakes(set: FlagSet, only: ReadonlySet<string> | undefined): Map<string, string> {
  const flags = [...set.flags]
    .filter(([, { definition }]) => !isKilled(definition))
    .map(([name, flag]) => [name, { ...flag, definition: withoutMemory(flag.definition) }] as const);
  const live: FlagSet = { ...set, flags: new Map(flags) };
  const errors = findings(live, { only }).filter((each) => each.severity === "error");
  const found = new Map<string, string>();
  for (const { subject, name, message } of errors) {
    if (subject === "flag") found.set(name, found.get(name) ?? message);
    else {
      for (const user of usersOf(live, [name]).flags) {
        found.set(user, found.get(user) ?? `uses the segment ${name}, which ${message}`);
      }
    }
  }
  return found;
}

/** `flag b: has no variants; it is served as it was before` */
export function shownMistake({ subject, name, message, isKept }: Mistake): string {
  const served = isKept ? "is served as it was before" : "is answered with an error";
  return `${subject} ${name} ${message}; it ${served}`;
}
