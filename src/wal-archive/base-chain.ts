import type { BaseEntry } from "./base-catalog.ts";

interface Link {
  readonly id: string;
  readonly parent?: string | undefined;
}

/**
 * An incremental base backup and those that it is based on, the full one first. Undefined where one of them is not among
 * `bases`, or where the chain leads in a circle.
 */
export function chainOf<Base extends Link>(bases: readonly Base[], id: string): readonly Base[] | undefined {
  const known = new Map(bases.map((each) => [each.id, each]));
  const chain: Base[] = [];
  for (let next: string | undefined = id; next !== undefined; next = chain[0]?.parent) {
    const base: Base | undefined = known.get(next);
    if (base === undefined || chain.includes(base)) return undefined;
    chain.unshift(base);
  }
  return chain;
}

/** What cannot be restored because of another one is broken as well. */
export function withBrokenChains(entries: readonly BaseEntry[]): BaseEntry[] {
  const known = new Map(entries.map((each) => [each.id, each]));
  return entries.map((entry) => {
    const seen = new Set([entry.id]);
    for (let next = parentOf(entry); next !== undefined; next = parentOf(known.get(next))) {
      const parent = known.get(next);
      if (parent?.status === "complete" && !seen.has(next)) {
        seen.add(next);
        continue;
      }
      const why = parent === undefined ? "missing" : parent.status === "broken" ? "broken" : "based on it";
      return { id: entry.id, status: "broken", reason: `${next}, which it is based on, is ${why}` };
    }
    return entry;
  });
}

function parentOf(entry: BaseEntry | undefined): string | undefined {
  return entry?.status === "complete" ? entry.sealed.manifest.parent : undefined;
}
