import { OpsError } from "../core/errors.ts";
import type { OperationContext } from "../run/context.ts";
import { pause } from "../run/pause.ts";
import type { Reading } from "./request-source.ts";
import type { CountedRoute } from "./route.ts";

/** Milliseconds that the balancer may not answer (a reload) before the canary is called blind. */
const blindLimit = 5000;

/** A look that waits out a reload of the balancer. */
export async function look(route: CountedRoute, context: OperationContext): Promise<Reading> {
  const { clock, signal } = context;
  const end = clock.elapsed() + blindLimit;
  for (;;) {
    try {
      return await route.read(signal);
    } catch (error) {
      const passing = error instanceof OpsError && error.retryable;
      if (!passing || clock.elapsed() >= end) throw error;
      await pause(context, 200);
    }
  }
}
