import { earlierIsOver as earlierOf, RolloutGuard } from "../rollout/guard.ts";
import type { OperationContext } from "../run/context.ts";
import { CanaryFiles, type CanaryRecord } from "./canary-record.ts";
import type { RouteBefore } from "./shift.ts";

/** Lets others end or promote a canary: `ops traffic abort`, `promote`, and a watchdog when this process is gone. */
export type CanaryGuard = RolloutGuard<CanaryRecord>;

/** Before the first weight is changed. */
export function guardCanary(
  context: OperationContext,
  before: RouteBefore,
  version: string,
  onCrash: "return" | "hold",
): Promise<CanaryGuard> {
  return RolloutGuard.begin(context, new CanaryFiles(context, before.route), {
    version,
    onCrash,
    abort: ["traffic", "abort", before.route],
    own: { before: before.weights },
  });
}

/** What the watchdog of an attempt that was killed has begun is waited for: the weights are read after it. */
export async function earlierIsOver(context: OperationContext, route: string): Promise<void> {
  await earlierOf(context, new CanaryFiles(context, route));
}

/**
 * After a change that leaves nothing of an earlier canary's traffic: what that had before it is not to come back. Only
 * for whoever holds the lock of the route, so that no canary is at work.
 */
export async function forgetEarlier(context: OperationContext, route: string): Promise<void> {
  await new CanaryFiles(context, route).forget();
}
