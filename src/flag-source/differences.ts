import type { Json } from "../core/errors.ts";
import { sameJson } from "./definition.ts";
import type { Difference, FlagSet, Subject } from "./flag-set.ts";

/** What is different between two sets, by name; equal sets have nothing. The order of keys does not count. */
export function differences(before: FlagSet, after: FlagSet): Difference[] {
  return [
    ...between("flag", definitions(before), definitions(after)),
    ...between("segment", before.evaluators, after.evaluators),
    ...between("metadata", before.metadata, after.metadata),
  ];
}

function definitions(set: FlagSet): ReadonlyMap<string, Json> {
  const flags = [...set.flags].map(([name, { definition }]): [string, Json] => [name, definition]);
  return new Map([...flags, ...(set.unreadable ?? [])]);
}

function between(
  subject: Subject,
  before: ReadonlyMap<string, Json>,
  after: ReadonlyMap<string, Json>,
): Difference[] {
  return [...new Set([...before.keys(), ...after.keys()])]
    .filter((name) => before.get(name) !== after.get(name))
    .filter((name) => before.has(name) !== after.has(name) || !sameJson(before.get(name), after.get(name)))
    .map((name) => ({
      subject,
      name,
      before: before.get(name) ?? null,
      after: after.get(name) ?? null,
    }));
}
