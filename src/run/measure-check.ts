import { setTimeout as delay } from "node:timers/promises";
import { digest } from "../core/digest.ts";
import { formatDuration } from "../core/duration.ts";
import { causeText, type Json, OpsError } from "../core/errors.ts";
import { redact, redactJson } from "../core/redaction.ts";
import { visible } from "../core/visible.ts";
import type { CheckStatus, Measurement } from "./check.ts";
import type { ConfiguredCheck } from "./configured-check.ts";
import type { OperationContext } from "./context.ts";
import type { Override } from "./gate-override.ts";

export type CheckResult = {
  id: string;
  kind: string;
  status: CheckStatus;
  /** What it counts as in the verdict: that of `unknown`, of a check that is not required, and of one overridden. */
  counts: "pass" | "warn" | "fail";
  required: boolean;
  value: number | string | boolean | null;
  shown: string;
  /** One clause with the numbers. */
  reason: string;
  /** As they are written. */
  limits: { fail?: string; warn?: string };
  why?: string;
  remedy?: string;
  /** UTC, ISO 8601: when it was measured. */
  startedAt: string;
  endedAt: string;
  durationMs: number;
  evidence?: Json;
  /** SHA-256 of what was read, where the kind tells. */
  rawDigest?: string;
  /** Present where it was not measured now: how old it is, and the run that measured it. */
  kept?: { ageMs: number; run?: string };
  /** Present while a person has overridden the check; whatever its status. */
  override?: Pick<Override, "id" | "by" | "actor" | "host" | "reason" | "at" | "until">;
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
  const startedAt = context.clock.now().toISOString();
  const common = () => ({
    id: configured.id,
    kind: check.kind,
    required: configured.required,
    limits: {
      ...(limits.fail === undefined ? {} : { fail: limits.fail.text.trim() }),
      ...(limits.warn === undefined ? {} : { warn: limits.warn.text.trim() }),
    },
    ...(configured.why === undefined ? {} : { why: configured.why }),
    ...(configured.remedy === undefined ? {} : { remedy: configured.remedy }),
    startedAt,
    endedAt: context.clock.now().toISOString(),
    durationMs: Math.round(context.clock.elapsed() - started),
  });
  try {
    const needed = check.patience?.(input) ?? input.timeout;
    const own = configured.timeout ?? (typeof needed === "number" ? needed + grace : usualTimeout);
    const measurement = await withinTime(context, own, (bounded) => check.measure(bounded, input, place));
    const { status, reason } = check.judge(measurement, input, limits);
    return {
      ...common(),
      status,
      counts: counted(configured, status),
      value: typeof measurement.value === "string" ? redact(measurement.value) : measurement.value,
      shown: visible(redact(measurement.shown)),
      reason: visible(redact(reason)),
      ...(measurement.evidence === undefined ? {} : { evidence: redactJson(measurement.evidence) }),
      ...digestOf(measurement),
    };
  } catch (error) {
    if (context.signal.aborted) throw context.signal.reason;
    context.safePoint();
    return {
      ...common(),
      status: "unknown",
      counts: counted(configured, "unknown"),
      value: null,
      shown: "not measured",
      reason: visible(redact(errorReason(error))),
    };
  }
}

function digestOf({ raw, rawDigest }: Measurement): { rawDigest?: string } {
  if (rawDigest !== undefined) return { rawDigest };
  return raw === undefined ? {} : { rawDigest: digest(raw) };
}

/** What a status counts as in the verdict of a gate that has the check. */
export function counted(
  { unknown, required }: Pick<ConfiguredCheck, "unknown" | "required">,
  status: CheckStatus,
): CheckResult["counts"] {
  const counts = status === "unknown" ? unknown : status;
  return counts === "fail" && !required ? "warn" : counts;
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
