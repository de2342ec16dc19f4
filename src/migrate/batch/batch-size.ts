/** Rows; so that one slow batch does not make the next ones crawl, nor a fast one the next ones long. */
export const smallestSize = 10;
const largest = 1_000_000;

/**
 * The size of the next batch, so that it takes about `target`: at most twice and at least half the last one.
 *
 * @param tookMs how long the last batch took
 */
export function nextSize(size: number, tookMs: number, targetMs: number): number {
  const ratio = Math.min(2, Math.max(0.5, targetMs / Math.max(tookMs, 1)));
  return Math.min(largest, Math.max(Math.min(smallestSize, size), Math.round(size * ratio)));
}
