import { formatDuration } from "../core/duration.ts";
import { formatBytes } from "../core/size.ts";
import type { LockHold } from "./report.ts";

/** How long the application will wait for a table, and how that is known. */
export interface BlockingEstimate {
  readonly ms: number;
  /** Of the table, where any size is known. */
  readonly bytes: number | null;
  readonly basis: "same size" | "scaled" | "copy size only" | "no data";
}

/** Two sizes of one table whose times are not worth telling apart: a restored table has no bloat. */
const closeRatio = 1.25;
/** Below it (in milliseconds) people notice nothing. */
const moment = 50;

/**
 * Work on a table takes time in proportion to its size, so that what was measured on a copy is scaled by the sizes.
 *
 * @param realBytes what is known of the real table now; it goes before what the report knew
 */
export function estimate(hold: LockHold, from: "empty" | "copy", realBytes?: number): BlockingEstimate {
  const real = realBytes ?? hold.realBytes;
  if (from === "empty") return { ms: hold.heldMs, bytes: real, basis: "no data" };
  if (real === null || hold.bytes === null || hold.bytes === 0) {
    return { ms: hold.heldMs, bytes: real ?? hold.bytes, basis: "copy size only" };
  }
  const ratio = real / hold.bytes;
  if (ratio < closeRatio && ratio > 1 / closeRatio)
    return { ms: hold.heldMs, bytes: real, basis: "same size" };
  return { ms: hold.heldMs * Math.max(ratio, 1 / closeRatio), bytes: real, basis: "scaled" };
}

/** `this will block writes on orders (12 GiB) for about 40s (measured on a copy of the same size)`. */
export function blockingSentence(hold: LockHold, from: "empty" | "copy", realBytes?: number): string {
  const { ms, bytes, basis } = estimate(hold, from, realBytes);
  const table = bytes === null ? hold.relation : `${hold.relation} (${formatBytes(bytes)})`;
  const what = `this will block ${hold.blocks} on ${table}`;
  if (basis === "no data") return `${what}; how long is not known: only an empty database was tested`;
  const time =
    ms < moment ? `for a moment (${formatDuration(Math.max(1, ms))})` : `for about ${formatDuration(ms)}`;
  const copy = hold.bytes === null ? "" : ` of ${formatBytes(hold.bytes)}`;
  switch (basis) {
    case "scaled":
      return `${what} ${time} (scaled from ${formatDuration(Math.max(1, hold.heldMs))} on a copy${copy})`;
    case "same size":
      return `${what} ${time} (measured on a copy of about the same size)`;
    default:
      return `${what} ${time} (measured on a copy${copy})`;
  }
}
