import { type Lsn, parseLsn } from "./lsn.ts";

/** A timeline that another one came from, and where it left it. */
export interface Ancestor {
  readonly timeline: number;
  /** The log of this timeline counts up to here. */
  readonly until: Lsn;
}

/** How far the server's history goes back, oldest first; the file's own timeline is not in it. */
export type TimelineHistory = readonly Ancestor[];

/**
 * A `.history` file (timeline.c): a line for each ancestor with its number, the position where it was left, and why.
 * Undefined for a text that is none.
 */
export function parseHistory(text: string): TimelineHistory | undefined {
  const ancestors: Ancestor[] = [];
  for (const line of text.split("\n")) {
    if (line.trim() === "" || line.trimStart().startsWith("#")) continue;
    const [, timeline, until] = /^\s*(\d+)\s+([0-9A-Fa-f]{1,8}\/[0-9A-Fa-f]{1,8})(?:\s|$)/.exec(line) ?? [];
    if (timeline === undefined || until === undefined) return undefined;
    ancestors.push({ timeline: Number(timeline), until: parseLsn(until) });
  }
  const rises = ancestors.every(
    (each, index) => index === 0 || each.timeline > (ancestors[index - 1]?.timeline ?? 0),
  );
  return rises ? ancestors : undefined;
}
