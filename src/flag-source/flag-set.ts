import type { Json } from "../core/errors.ts";
import type { FlagDefinition, FlagDocument, Rule, Scalar } from "./definition.ts";

/** A flag with what is known of its last change. */
export interface StoredFlag {
  readonly definition: FlagDefinition;
  /** ISO 8601, UTC; null where the source does not know. */
  readonly changedAt: string | null;
  readonly changedBy: string | null;
}

/** All that a source holds at one moment. */
export interface FlagSet {
  readonly flags: ReadonlyMap<string, StoredFlag>;
  /** Shared rules, `$evaluators` of flagd; their order counts (a rule may only use one that stands behind it). */
  readonly evaluators: ReadonlyMap<string, Rule>;
  /** Of the set as a whole. */
  readonly metadata: ReadonlyMap<string, Scalar>;
  /** What stands in the place of flags, by their names, and is no definition: somebody wrote it by hand. Absent: nothing. */
  readonly unreadable?: ReadonlyMap<string, Json>;
}

export const emptySet: FlagSet = { flags: new Map(), evaluators: new Map(), metadata: new Map() };

/** As flagd and the SDKs read it. */
export function documentOf({ flags, evaluators, metadata }: FlagSet): FlagDocument {
  return {
    ...(metadata.size > 0 && { metadata: Object.fromEntries(metadata) }),
    flags: Object.fromEntries([...flags].map(([name, { definition }]) => [name, definition])),
    ...(evaluators.size > 0 && { $evaluators: Object.fromEntries(evaluators) }),
  };
}

/** Of a document whose shape was checked; who changed it is not known. */
export function setOf(document: FlagDocument): FlagSet {
  const flags = Object.entries(document.flags ?? {}).map(
    ([name, definition]) => [name, { definition, changedAt: null, changedBy: null }] as const,
  );
  return {
    flags: new Map(flags),
    evaluators: new Map(Object.entries(document.$evaluators ?? {})),
    metadata: new Map(Object.entries(document.metadata ?? {})),
  };
}

/** The set with one flag put in, replaced where it stands, or taken out (null), whether it can be read or not. */
export function withFlag(set: FlagSet, name: string, definition: FlagDefinition | null): FlagSet {
  if (set.unreadable?.has(name) === true) {
    const unreadable = new Map(set.unreadable);
    unreadable.delete(name);
    return withFlag({ ...set, unreadable }, name, definition);
  }
  const flags = new Map(set.flags);
  if (definition === null) flags.delete(name);
  else flags.set(name, { definition, changedAt: null, changedBy: null });
  return { ...set, flags };
}

export function withEvaluator(set: FlagSet, name: string, rule: Rule | null): FlagSet {
  const evaluators = new Map(set.evaluators);
  if (rule === null) evaluators.delete(name);
  else evaluators.set(name, rule);
  return { ...set, evaluators };
}

/** What kind of thing of a set an entry of the history is about. */
export type Subject = "flag" | "segment" | "metadata";

/** One thing of a set that is different in another. */
export type Difference = {
  subject: Subject;
  name: string;
  before: Json | null;
  after: Json | null;
};
