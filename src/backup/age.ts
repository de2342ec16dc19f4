import { formatDuration } from "../core/duration.ts";

/** `2h 10m`, or how far ahead of this machine's clock. */
export function formatAge(ms: number): string {
  return ms < 0 ? `in ${formatDuration(-ms)}` : formatDuration(ms);
}
