import { OpsError } from "../../core/errors.ts";
import type { RequestSource, VersionCounts } from "../../request-source/request-source.ts";

/**
 * The figures of one source, with what only the balancer knows: failed health checks, its mean response time, and request times where
 * the source has none. A balancer that was restarted counts from zero: what it had counted stays.
 */
export function withBalancer(source: RequestSource, balancer: RequestSource): RequestSource {
  const known = new Map<string, { last: number; failed: number; meanResponse: number | undefined }>();

  async function ask(signal: AbortSignal | undefined): Promise<void> {
    let counts: readonly VersionCounts[];
    try {
      counts = await balancer.read(signal);
    } catch (error) {
      // Whoever reads the weights says that the balancer is away.
      if (signal?.aborted === true || !(error instanceof OpsError && error.retryable)) throw error;
      return;
    }
    for (const { version, counters, meanResponse } of counts) {
      const { last, failed } = known.get(version) ?? { last: 0, failed: 0 };
      const now = counters.failedChecks;
      known.set(version, { last: now, failed: failed + (now < last ? now : now - last), meanResponse });
    }
  }

  const timed = source.times === undefined && balancer.times !== undefined ? balancer : source;
  return {
    ...source,
    ...(balancer.mean === undefined ? {} : { mean: balancer.mean }),
    times: timed.times,
    requireTimes: (limit, signal) => timed.requireTimes(limit, signal),
    async read(signal) {
      const [counts] = await Promise.all([source.read(signal), ask(signal)]);
      return counts.map((each) => {
        const { failed = 0, meanResponse } = known.get(each.version) ?? {};
        return {
          ...each,
          counters: { ...each.counters, failedChecks: failed },
          ...(meanResponse === undefined ? {} : { meanResponse }),
        };
      });
    },
  };
}
