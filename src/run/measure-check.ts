import { setTimeout as delay } from "node:timers/promises";
import { formatDuration } from "../core/duration.ts";
import { causeText, type Json, OpsError } from "../core/errors.ts";
import { redact, redactJson } from "../core/redaction.ts";
import type { CheckStatus } from "./check.ts";
import type { ConfiguredCheck } from "./configured-check.ts";
import type { OperationContext } from "./context.ts";

export type CheckResult = {
  id: string;
  kind: string;
  status: CheckStatus;
  /** What it counts as in the verdict; differs from `status` only where that is `unknown`. */
  counts: "pass" | "warn" | "fail";
  value: number | string | boolean | null;
  shown: string;
  /** One clause with the numbers. */
  reason: string;
  why?: string;
  remedy?: string;
  durationMs: number;
  evidence?: Json;
};

/** How much longer than its own timeout a check may take to say so. */
const grace = 2000;

/**
 * Never throws for what a check does: one that cannot be measured, or judged, is `unknown` with the error as its
 * reason. Throws where the run itself ends.
 */
export async function measureCheck(
  context: OperationContext,
  configured: ConfiguredCheck,
  usualTimeout: number,
): Promise<CheckResult> {
  const { check, input, limits } = configured;
  const place = { gate: configured.gate, check: configured.id };
  const started = context.clock.elapsed();
  const common = () => ({
    id: configured.id,
    kind: check.kind,
    ...(configured.why === undefined ? {} : { why: configured.why }),
    ...(configured.remedy === undefined ? {} : { remedy: configured.remedy }),
    durationMs: Math.round(context.clock.elapsed() - started),
  });
  try {
    const own = typeof input.timeout === "number" ? input.timeout + grace : usualTimeout;
    const measurement = await withinTime(context, own, (bounded) => check.measure(bounded, input, place));
    const { status, reason } = check.judge(measurement, input, limits);
    return {
      ...common(),
      status,
      counts: status === "unknown" ? configured.unknown : status,
      value: typeof measurement.value === "string" ? redact(measurement.value) : measurement.value,
      shown: redact(measurement.shown),
      reason: redact(reason),
      ...(measurement.evidence === undefined ? {} : { evidence: redactJson(measurement.evidence) }),
    };
  } catch (error) {
    if (context.signal.aborted) throw context.signal.reason;
    context.safePoint();
    return {
      ...common(),
      status: "unknown",
      counts: configured.unknown,
      value: null,
      shown: "not measured",
      reason: redact(errorReason(error)),
    };
  }
}

/** Ends the work through its signal, and stops waiting for work that does not listen. */
async function withinTime<T>(
  context: OperationContext,
  timeout: number,
  work: (bounded: OperationContext) => Promise<T>,
): Promise<T> {
  const over = new AbortController();
  const signal = AbortSignal.any([context.signal, context.stop, over.signal]);
  const bounded: OperationContext = {
    ...context,
    signal,
    safePoint: () => context.safePoint(),
    checks: () => context.checks(),
  };
  const timer = delay(timeout, undefined, { signal }).then(() => {
    over.abort(
      new OpsError("E_CHECK_TIMEOUT", `the measurement did not end within ${formatDuration(timeout)}`),
    );
    throw over.signal.reason;
  });
  try {
    return await Promise.race([work(bounded), timer]);
  } finally {
    over.abort();
    await timer.catch(() => undefined);
  }
}

function errorReason(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const cause = causeText(error.cause);
  return cause === undefined || error.message.includes(cause) ? error.message : `${error.message}: ${cause}`;
}
