import type { Threshold } from "../core/threshold.ts";
import { type ConfiguredCheck, unitsOf } from "../run/configured-check.ts";
import type { CheckResult } from "../run/measure-check.ts";
import { noSeries, withValue } from "./series.ts";
import type { BadLook, CheckTally, Gap, WatchState } from "./state.ts";

/** What is kept of bad looks and gaps: the first ones say how it began, the newest ones how it went on. */
const [firstKept, newestKept, gapsKept] = [20, 30, 50];
/** Characters of a reason. */
const longestReason = 300;

/**
 * The state after one more look. Pure.
 *
 * @param at when it ended
 * @param since milliseconds since the look before; undefined at the first one and behind a gap
 */
export function withLook(
  state: WatchState,
  checks: readonly ConfiguredCheck[],
  results: readonly CheckResult[],
  at: Date,
  since: number | undefined,
): WatchState {
  const failing = results.filter(({ counts }) => counts === "fail");
  const bad: BadLook = {
    at: at.toISOString(),
    reasons: failing.map(({ id, reason }) => cut(`${id}: ${reason}`)),
  };
  return {
    ...state,
    version: state.version + 1,
    looks: state.looks + 1,
    noGoes: state.noGoes + (failing.length > 0 ? 1 : 0),
    lastLookAt: at.toISOString(),
    checks: results.map((result) =>
      withResult(
        state.checks.find(({ id }) => id === result.id) ??
          newTally(
            result,
            checks.find(({ id }) => id === result.id),
          ),
        result,
        since,
      ),
    ),
    bad: failing.length === 0 ? state.bad : withBadLook(state.bad, bad),
  };
}

/** The state after looks that were not made. Pure. */
export function withGap(state: WatchState, gap: Gap): WatchState {
  const { count, missed, newest } = state.gaps;
  return {
    ...state,
    version: state.version + 1,
    gaps: {
      count: count + 1,
      missed: missed + gap.missed,
      newest: [...newest, gap].slice(-gapsKept),
    },
    // Nobody saw whether it went on.
    checks: state.checks.map((each) => ({ ...each, presentMs: null })),
  };
}

function withBadLook({ count, first, newest }: WatchState["bad"], look: BadLook): WatchState["bad"] {
  if (first.length < firstKept) return { count: count + 1, first: [...first, look], newest };
  return { count: count + 1, first, newest: [...newest, look].slice(-newestKept) };
}

function newTally({ id }: CheckResult, configured: ConfiguredCheck | undefined): CheckTally {
  const limit = configured?.limits.fail ?? configured?.limits.warn;
  const units = configured === undefined ? [] : (unitsOf(configured.check, configured.input) ?? []);
  const unit: Threshold["unit"] = limit?.unit ?? (units.length === 1 ? units[0] : undefined) ?? "number";
  return {
    id,
    unit,
    worst: limit?.operator === "<" || limit?.operator === "<=" ? "least" : "most",
    looks: 0,
    counts: { pass: 0, warn: 0, fail: 0, unknown: 0 },
    failures: 0,
    failingMs: 0,
    longestMs: 0,
    presentMs: null,
    least: null,
    most: null,
    series: noSeries,
    newest: null,
  };
}

function withResult(tally: CheckTally, result: CheckResult, since: number | undefined): CheckTally {
  const { status, value } = result;
  const fails = result.counts === "fail";
  const goesOn = fails && tally.presentMs !== null;
  const presentMs = fails ? (tally.presentMs ?? 0) + (goesOn ? (since ?? 0) : 0) : null;
  const measured = typeof value === "number" && Number.isFinite(value) ? value : undefined;
  return {
    ...tally,
    looks: tally.looks + 1,
    counts: { ...tally.counts, [status]: (tally.counts[status] ?? 0) + 1 },
    failures: tally.failures + (fails && !goesOn ? 1 : 0),
    failingMs: tally.failingMs + (goesOn ? (since ?? 0) : 0),
    longestMs: Math.max(tally.longestMs, presentMs ?? 0),
    presentMs,
    ...(measured === undefined
      ? {}
      : {
          least: Math.min(tally.least ?? measured, measured),
          most: Math.max(tally.most ?? measured, measured),
          series: withValue(tally.series, rounded(measured)),
        }),
    newest: { status, counts: result.counts, reason: cut(result.reason) },
  };
}

function cut(text: string): string {
  return text.length <= longestReason ? text : `${text.slice(0, longestReason - 1)}…`;
}

/** Six digits say more than enough, and are short. */
function rounded(value: number): number {
  return Number(value.toPrecision(6));
}
