import { OpsError } from "../../core/errors.ts";
import type { RequestSource, VersionCounts } from "../request-source.ts";

/**
 * The figures of one source, with the failed health checks that the balancer counts. A balancer that was restarted counts from zero: what
 * it had counted stays.
 */
export function withChecks(source: RequestSource, balancer: RequestSource): RequestSource {
  const failed = new Map<string, { last: number; total: number }>();

  async function failedChecks(signal: AbortSignal | undefined): Promise<void> {
    let counts: readonly VersionCounts[];
    try {
      counts = await balancer.read(signal);
    } catch (error) {
      // Whoever reads the weights says that the balancer is away.
      if (signal?.aborted === true || !(error instanceof OpsError && error.retryable)) throw error;
      return;
    }
    for (const { version, counters } of counts) {
      const { last, total } = failed.get(version) ?? { last: 0, total: 0 };
      const now = counters.failedChecks;
      failed.set(version, { last: now, total: total + (now < last ? now : now - last) });
    }
  }

  return {
    ...source,
    async read(signal) {
      const [counts] = await Promise.all([source.read(signal), failedChecks(signal)]);
      return counts.map((each) => ({
        ...each,
        counters: { ...each.counters, failedChecks: failed.get(each.version)?.total ?? 0 },
      }));
    },
  };
}
