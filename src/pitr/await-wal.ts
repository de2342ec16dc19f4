import type { StoreTarget } from "../config/environment.ts";
import { formatDuration } from "../core/duration.ts";
import type { OperationContext } from "../run/context.ts";
import { interruptible } from "../run/interruptible.ts";
import type { Report } from "../run/operation.ts";
import { openStore } from "../storage/open-store.ts";
import type { BaseManifest } from "../wal-archive/base-manifest.ts";
import { archiverFailure } from "./base-source.ts";
import { missingSegments } from "./missing-wal.ts";

export interface MissingWal {
  store: string;
  segments: string[];
  reason: string;
}

/** Milliseconds until the second look into a store, and at most between two later ones: each time twice as long. */
const firstPause = 50;
const longestPause = 500;

/**
 * A base backup is of use only with the WAL that was written while it was made.
 *
 * @param timeout milliseconds; what is missing then is the result
 */
export async function awaitWal(
  context: OperationContext,
  manifest: BaseManifest,
  targets: readonly StoreTarget[],
  timeout: number,
  report: Report,
): Promise<MissingWal[]> {
  const deadline = context.clock.elapsed() + timeout;
  for (let pause = firstPause; ; pause = Math.min(2 * pause, longestPause)) {
    const missing: MissingWal[] = [];
    for (const target of targets) {
      const segments = await missingSegments(openStore(target), manifest.database, manifest);
      if (segments.length > 0) missing.push({ store: target.name, segments, reason: "" });
    }
    const [first] = missing;
    if (first === undefined) return [];
    if (context.clock.elapsed() >= deadline) {
      const failed = await archiverFailure(context.environment.database(manifest.database), context.signal);
      const reason =
        ` after ${formatDuration(timeout)}` +
        (failed === undefined ? "" : `; the server's archive_command failed for ${failed}`);
      return missing.map((each) => ({ ...each, reason }));
    }
    report.progress({ message: `waiting for WAL ${first.segments[0]} in store ${first.store}` });
    await interruptible(context, (signal) => context.clock.sleep(pause, signal));
  }
}
