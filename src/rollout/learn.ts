import { formatDuration } from "../core/duration.ts";
import { dispersionOf } from "../judge/dispersion.ts";
import type { Outcomes } from "../judge/e-process.ts";
import { badRequests, CountingWindow, settledRequests } from "../request-source/counters.ts";
import type { RequestTimesFollower } from "../request-source/request-times.ts";
import { ResponseTimes } from "../request-source/response-times.ts";
import type { OperationContext } from "../run/context.ts";
import type { Report } from "../run/operation.ts";
import { type Learned, unlearned } from "./comparison.ts";
import { pauseHeeding } from "./heeding.ts";
import { look } from "./look.ts";
import type { Watched } from "./watched.ts";

/** How many stretches the time to learn has, and how long one is at most, in milliseconds. */
const [stretches, longestStretch] = [12, 10_000];

/** Milliseconds of one stretch of a time to learn. */
export const learningStretch = (duration: number) => Math.min(longestStretch, duration / stretches);

/**
 * Watches a route before its canary, a flag before its ramp: how much its bad and its slow requests vary from stretch to stretch by
 * themselves, and what is slow for it. Of all versions together; what has no traffic adds nothing.
 */
export async function learn(
  context: OperationContext,
  route: Watched,
  times: RequestTimesFollower | undefined,
  /** Milliseconds; and how much longer than the p95 a slow request takes. */
  { duration, slowerBy }: { duration: number; slowerBy: number },
  report: Report,
  /** Throws where it must end. */
  onLook: () => Promise<void>,
): Promise<Learned> {
  if (duration === 0) return unlearned;
  const { clock } = context;
  const stretch = learningStretch(duration);
  const window = new CountingWindow(await look(route, context));
  times?.take();
  const errors: Outcomes[] = [];
  const served: ResponseTimes[] = [];
  const start = clock.elapsed();
  let last: Outcomes = { requests: 0, bad: 0 };
  for (;;) {
    const gone = clock.elapsed() - start;
    if (gone >= duration) break;
    await pauseHeeding(context, Math.max(1, Math.min(stretch, duration - gone)), onLook);
    const reading = await look(route, context);
    window.add(reading);
    const counts = reading.map(({ version }) => window.counts(version));
    const now = {
      requests: counts.reduce((total, each) => total + settledRequests(each), 0),
      bad: counts.reduce((total, each) => total + badRequests(each), 0),
    };
    errors.push({ requests: now.requests - last.requests, bad: now.bad - last.bad });
    last = now;
    const all = new ResponseTimes();
    for (const each of times?.take().values() ?? []) all.addAll(each);
    served.push(all);
    report.progress({
      message: `learning how the ${route.kind} behaves: ${now.requests} requests, ${now.bad} bad, ${formatDuration(clock.elapsed() - start)} of ${formatDuration(duration)}`,
      done: clock.elapsed() - start,
      total: duration,
      unit: "ms",
    });
  }
  return { dispersion: dispersionOf(errors), slow: slowOf(served, slowerBy) };
}

/** @param what is learned of: `route web` */
export function learnedLine(what: string, { dispersion, slow }: Learned): string {
  const parts = [
    dispersion === 1
      ? "errors come one by one"
      : `errors come in bursts (dispersion ${dispersion.toFixed(1)})`,
    ...(slow === null ? [] : [`slow is more than ${formatDuration(slow.limit)}`]),
  ];
  return `${what} as it is: ${parts.join(", ")}`;
}

/** A p95 of fewer requests than this is not one. */
export const enoughTimes = 100;

function slowOf(served: readonly ResponseTimes[], slowerBy: number): Learned["slow"] {
  const all = new ResponseTimes();
  for (const each of served) all.addAll(each);
  const p95 = all.percentile(95);
  if (p95 === undefined || all.total < enoughTimes) return null;
  const limit = p95 + slowerBy;
  const slow = served.map((each) => ({ requests: each.total, bad: each.count((time) => time > limit) }));
  return { limit, dispersion: dispersionOf(slow) };
}
