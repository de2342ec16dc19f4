import { OpsError } from "../core/errors.ts";
import { noCounts } from "../request-source/counters.ts";
import type { OperationContext } from "../run/context.ts";
import { pause } from "../run/pause.ts";
import type { Reading } from "./reading.ts";
import type { Watched } from "./watched.ts";

/** Milliseconds that the balancer may not answer (a reload) before the canary is called blind. */
const blindLimit = 5000;

/** A look that waits out a reload of the balancer. */
export function look(route: Watched, context: OperationContext): Promise<Reading> {
  return patiently(context, () => route.read(context.signal));
}

/** What a step sees: weights and health as they are now, and counters. */
export interface Sight {
  readonly reading: Reading;
  /** Why the counters are still those of the look before; undefined: they are new. */
  readonly missing: string | undefined;
}

/**
 * A look that goes without figures where what counts is another system than the balancer and has none: weights and health are
 * watched all the same. Throws where the balancer itself is away.
 * @param last the look before, whose counters stay
 */
export async function sight(
  route: Watched,
  context: OperationContext,
  last: Reading | undefined,
): Promise<Sight> {
  const { signal } = context;
  const { requests } = route;
  if (requests.apart === undefined) return { reading: await look(route, context), missing: undefined };
  try {
    const reading = await route.read(signal);
    return { reading, missing: goneFigures(reading, requests.apart.maxAge) };
  } catch (error) {
    if (signal.aborted || !(error instanceof OpsError)) throw error;
    const states = await patiently(context, () => route.states(signal));
    const counts = (version: string) =>
      last?.find((each) => each.version === version) ?? { process: "", counters: noCounts };
    return {
      reading: states.map((state) => ({ ...counts(state.version), ...state })),
      missing: error.message,
    };
  }
}

/** A version that had figures and has none any more is not one without requests; what gets no traffic may go. */
function goneFigures(reading: Reading, maxAge: number): string | undefined {
  const lost = reading.find(({ weight, gone = 0 }) => weight > 0 && gone > maxAge);
  return lost && `the figures of ${lost.version} are gone`;
}

/** Whether every counter was counted within the last `ms` milliseconds. */
export function countedWithin({ reading, missing }: Sight, ms: number): boolean {
  return missing === undefined && reading.every(({ age = 0 }) => age <= ms);
}

/** Whether a look says anything of the time since the one before; between two scrapes it does not. */
export function hasNewCounts({ reading, missing }: Sight, before: Reading): boolean {
  if (missing !== undefined) return false;
  return reading.some(({ age, version, counters }) => {
    const earlier = before.find((each) => each.version === version);
    return age === undefined || earlier?.counters.requests !== counters.requests;
  });
}

/** Waits out what may pass: a reload of the balancer, a lost connection. */
export async function patiently<T>(context: OperationContext, work: () => Promise<T>): Promise<T> {
  const { clock } = context;
  const end = clock.elapsed() + blindLimit;
  for (;;) {
    try {
      return await work();
    } catch (error) {
      const passing = error instanceof OpsError && error.retryable;
      if (!passing || clock.elapsed() >= end) throw error;
      await pause(context, 200);
    }
  }
}
