import type { Clock } from "../core/clock.ts";
import { formatDuration } from "../core/duration.ts";
import type { CheckResult } from "../run/measure-check.ts";
import type { Report } from "../run/operation.ts";
import type { Sample } from "../run/sample.ts";
import type { WatchSettings } from "./settings.ts";
import type { WatchState } from "./state.ts";
import { unitNames } from "./value.ts";

/** Newest values of a check that are drawn. */
const drawn = 12;
/** A log hears at least so often that the watch goes on, in milliseconds. */
const signOfLife = 3_600_000;

const signs = { pass: "✓", warn: "!", fail: "✗", unknown: "?" } as const;

/** What people see of a watch while it goes on: all of it live, in a log only what changes. */
export class WatchView {
  private readonly settings: WatchSettings;
  private readonly report: Report;
  private readonly clock: Clock;
  private readonly values = new Map<string, (number | null)[]>();
  private readonly seen: Map<string, string>;
  private lastSaid: number;

  constructor(settings: WatchSettings, state: WatchState, report: Report, clock: Clock) {
    this.settings = settings;
    this.report = report;
    this.clock = clock;
    this.seen = new Map(state.checks.map(({ id, newest }) => [id, newest?.status ?? ""]));
    this.lastSaid = clock.elapsed();
  }

  /** Shows a look; the sample of it is for the report of the run. */
  look(state: WatchState, results: readonly CheckResult[]): Sample {
    for (const { id, value } of results) {
      const measured = typeof value === "number" && Number.isFinite(value) ? value : null;
      this.values.set(id, [...(this.values.get(id) ?? []), measured].slice(-drawn));
    }
    this.sayChanges(state, results);
    const left = Math.max(0, Date.parse(state.until) - this.clock.now().getTime());
    const total = this.settings.for;
    this.report.progress({
      message: `${state.looks} looks, ${standing(state, results)}`,
      live: true,
      done: Math.max(0, total - left),
      total,
      unit: "ms",
      leftMs: left,
      standings: results.map(({ id, status, reason }) => {
        const values = this.values.get(id) ?? [];
        return {
          name: id,
          status,
          text: reason,
          values: values.every((each) => each === null) ? [] : values,
        };
      }),
    });
    return sampleOf(state, results, this.clock.now());
  }

  private sayChanges(state: WatchState, results: readonly CheckResult[]): void {
    const now = this.clock.elapsed();
    const changed = results.filter(({ id, status }) => this.seen.get(id) !== status);
    for (const { id, status } of results) this.seen.set(id, status);
    for (const { id, status, reason } of changed) this.report.log(`${signs[status]} ${id}: ${reason}`);
    if (changed.length === 0 && now - this.lastSaid < signOfLife) return;
    if (changed.length === 0) {
      const left = Math.max(0, Date.parse(state.until) - this.clock.now().getTime());
      this.report.log(`${state.looks} looks, ${standing(state, results)}; ${formatDuration(left)} left`);
    }
    this.lastSaid = now;
  }
}

/** `go`, or what counts towards which trigger. */
function standing(state: WatchState, results: readonly CheckResult[]): string {
  const counting = Object.entries(state.streaks).filter(([, { looks }]) => looks > 0);
  if (counting.length > 0) {
    const all = counting.map(([text, { looks, ms }]) => {
      return text.includes(" for ") ? `${text}: ${formatDuration(ms)}` : `${text}: ${looks}`;
    });
    return `counting ${all.join(", ")}`;
  }
  return results.some(({ counts }) => counts === "fail") ? "no-go" : "go";
}

/** A chart for each check that has numbers: their units differ. */
function sampleOf(state: WatchState, results: readonly CheckResult[], at: Date): Sample {
  return {
    at: at.toISOString(),
    measures: results.flatMap(({ id, value }) => {
      const tally = state.checks.find((each) => each.id === id);
      if (tally === undefined || tally.series.values.length === 0) return [];
      const unit = unitNames[tally.unit];
      const measured = typeof value === "number" && Number.isFinite(value) ? value : null;
      return [{ name: `${unit === "" ? "" : `${unit}, `}${id}`, lines: { [id]: measured } }];
    }),
  };
}
