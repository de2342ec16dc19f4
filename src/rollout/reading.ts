import type { VersionCounts } from "../request-source/request-source.ts";

/** `up`: healthy; `failing`: some checks failed, still in use; `down`: not in use; `unknown`: nobody tells. */
export type Health = "up" | "failing" | "down" | "unknown";

/** How one version is treated now. */
export type VersionState = {
  version: string;
  /** As the balancer calls the place that runs it. */
  server: string;
  weight: number;
  health: Health;
  /** As the balancer calls it: `UP`, `UP 1/2`, `DOWN`, `MAINT`; `-` where it does not tell. */
  status: string;
  /** Requests that are at it now, or wait for it; undefined where the balancer does not tell. */
  inFlight?: number;
};

/** One look at what is rolled out: how each version is treated, and what was counted for it. Every version is in it. */
export type VersionReading = VersionState & VersionCounts;
export type Reading = readonly VersionReading[];

export function readingOf(reading: Reading, version: string): VersionReading {
  const found = reading.find((each) => each.version === version);
  if (found === undefined) throw new Error(`the reading has no version ${version}`);
  return found;
}
