import { formatDuration } from "../core/duration.ts";
import { ExitCode, InterruptedError, OpsError } from "../core/errors.ts";
import type { OperationContext } from "../run/context.ts";
import type { CheckResult } from "../run/measure-check.ts";
import { measureGate } from "../run/measure-gate.ts";
import type { Report } from "../run/operation.ts";
import { pause } from "../run/pause.ts";
import type { Keeper } from "./keeper.ts";
import type { WatchSettings } from "./settings.ts";
import type { WatchState } from "./state.ts";
import { type Judged, judgeLook, timeToFire } from "./streaks.ts";
import { withGap, withLook } from "./tally.ts";
import { WatchView } from "./view.ts";

/** Milliseconds between two glances at whether somebody asks it to stop. */
const glance = 5000;
/** Milliseconds by which a look may come late without being a missed one: a restart takes a moment. */
const tolerance = 2000;
/** Of the looks that were due, so many percent must have been made for a verdict. */
const leastSeen = 50;

/**
 * Measures the gate until a trigger fires, the time is over or somebody asks it to stop; the state then has its verdict,
 * durable. Intervals are those of the monotonic clock, the end is that of the wall clock.
 */
export async function watchGate(
  context: OperationContext,
  settings: WatchSettings,
  keeper: Keeper,
  report: Report,
): Promise<void> {
  const watching = new Watching(context, settings, keeper, report);
  try {
    await watching.toTheEnd();
  } catch (error) {
    // What was seen since the newest checkpoint; a process that is cut off leaves it in the file.
    if (error instanceof InterruptedError && !context.signal.aborted) await keeper.journal();
    throw error;
  }
}

class Watching {
  private readonly context: OperationContext;
  private readonly settings: WatchSettings;
  private readonly keeper: Keeper;
  private readonly report: Report;
  private readonly view: WatchView;
  /** When the newest look of this process began and ended, monotonic milliseconds. */
  private began: number | undefined;
  private ended: number | undefined;

  constructor(context: OperationContext, settings: WatchSettings, keeper: Keeper, report: Report) {
    this.context = context;
    this.settings = settings;
    this.keeper = keeper;
    this.report = report;
    this.view = new WatchView(settings, keeper.state, report, context.clock);
    const { lastLookAt } = keeper.state;
    if (lastLookAt === null) return;
    // The newest look was another process's: the next one comes in its time.
    const ago = context.clock.now().getTime() - Date.parse(lastLookAt);
    if (ago >= 0 && ago < settings.every) this.began = context.clock.elapsed() - ago;
  }

  async toTheEnd(): Promise<void> {
    const { clock } = this.context;
    // A trigger that has begun to count is waited for: the end of the time makes nothing good.
    const longest = Math.max(...this.settings.triggers.map((each) => timeToFire(each, this.settings.every)));
    const until = Date.parse(this.keeper.state.until);
    let isCounting = Object.values(this.keeper.state.streaks).some(({ looks }) => looks > 0);
    if (this.began !== undefined && (await this.wait(until, isCounting))) return;
    for (;;) {
      if (await this.isStopped()) return;
      const idle = this.noteGap(until);
      if (idle === undefined) isCounting = false;
      const now = clock.now().getTime();
      if (now >= until && !(isCounting && now < until + longest)) return this.timeIsOver();
      const judged = await this.look(idle);
      if (judged === undefined) {
        if (await this.wait(until, isCounting)) return;
        continue;
      }
      if (judged.fired.length > 0) {
        const reasons = [...new Set(judged.fired.flatMap(({ reasons }) => reasons))];
        const triggers = judged.fired.map(({ trigger }) => trigger.text);
        const at = clock.now().toISOString();
        this.report.log(`triggered by ${triggers.join(" and by ")}: ${reasons.join("; ")}`);
        return this.keeper.journal({
          phase: "acting",
          verdict: "triggered",
          trigger: { at, triggers, reasons },
        });
      }
      isCounting = judged.isCounting;
      if (await this.wait(until, isCounting)) return;
    }
  }

  /**
   * Undefined where no look could be made: what gates remember cannot be read.
   *
   * @param idle milliseconds since the end of the look before; undefined where nothing is known of that time
   */
  private async look(idle: number | undefined): Promise<Judged | undefined> {
    const { context, settings, keeper } = this;
    const { clock } = context;
    const began = clock.elapsed();
    this.began = began;
    const results = await this.measured();
    if (results === undefined) return undefined;
    this.ended = clock.elapsed();
    const since = idle === undefined ? undefined : idle + this.ended - began;
    const judged = judgeLook(keeper.state.streaks, settings.triggers, settings.checks, results, since);
    const before = keeper.state;
    const state = {
      ...withLook(before, settings.checks, results, clock.now(), since),
      streaks: { ...judged.streaks },
    };
    const changed = isOther(before, results) || judged.isCounting;
    const sample = this.view.look(state, results);
    await keeper.look(state, changed ? "change" : "same", sample);
    return judged;
  }

  /** Of days of looks a single one may fail; the first one of a process shows a mistake. */
  private async measured(): Promise<readonly CheckResult[] | undefined> {
    const { context, settings } = this;
    try {
      // What was found before says nothing of now: the same answer again is no look.
      const anew = { anew: true };
      return (await measureGate(context, settings.gate, settings.timeout, undefined, anew)).checks;
    } catch (error) {
      const isOwn = error instanceof OpsError && error.exitCode !== ExitCode.usage;
      if (context.signal.aborted || error instanceof InterruptedError || !isOwn) throw error;
      if (this.ended === undefined) throw error;
      this.report.log(`a look could not be made: ${error.message}`);
      return undefined;
    }
  }

  /**
   * Milliseconds from the end of the look before until now, for the first look of a watch and behind a gap undefined.
   * A clock that is set forward, a machine that slept or was off: whatever was not seen is a gap.
   */
  private noteGap(until: number): number | undefined {
    const { clock } = this.context;
    const { lastLookAt, everyMs, startedAt } = this.keeper.state;
    // A watch that was cut off before its first look has missed looks as well.
    const from = Date.parse(lastLookAt ?? startedAt);
    const now = clock.now().getTime();
    const byWall = now - from;
    const byMonotonic = this.ended === undefined ? byWall : clock.elapsed() - this.ended;
    const idle = Math.max(byWall, byMonotonic, 0);
    if (idle < Math.max(2 * everyMs, everyMs + tolerance)) return lastLookAt === null ? undefined : idle;
    const to = Math.max(from, Math.min(now, until));
    // The look that comes now stands for the last one; at the end of its time there is none.
    const missed = now < until ? Math.floor(idle / everyMs) - 1 : Math.ceil((to - from) / everyMs) - 1;
    if (missed <= 0) return undefined;
    const gap = { from: new Date(from).toISOString(), to: new Date(to).toISOString(), missed };
    this.keeper.state = { ...withGap(this.keeper.state, gap), streaks: {} };
    this.report.log(
      `a gap of ${formatDuration(to - from)}: ${missed} looks were not made; what went on then is not known`,
    );
    return undefined;
  }

  /** Until the next look, or the end; true where somebody has stopped the watch meanwhile. */
  private async wait(until: number, isCounting: boolean): Promise<boolean> {
    const { clock } = this.context;
    const { every } = this.settings;
    // From beginning to beginning; a look that takes longer than that is followed by the next one at once.
    const next = (this.began ?? clock.elapsed()) + every;
    for (;;) {
      const untilLook = next - clock.elapsed();
      const untilEnd = isCounting ? Number.POSITIVE_INFINITY : until - clock.now().getTime();
      const left = Math.min(untilLook, untilEnd);
      if (left <= 0) {
        await pause(this.context, 0);
        return false;
      }
      await pause(this.context, Math.min(left, glance));
      if (await this.isStopped()) return true;
    }
  }

  private async isStopped(): Promise<boolean> {
    const { keeper } = this;
    const request = await keeper.files.stopRequest(keeper.state.id, this.context.runId);
    if (request === undefined) return false;
    const { by, reason } = request;
    this.report.log(`stopped by ${by}${reason === null ? "" : `: ${reason}`}`);
    await keeper.journal({ phase: "over", verdict: "stopped", stopped: request });
    return true;
  }

  private async timeIsOver(): Promise<void> {
    const { looks, gaps } = this.keeper.state;
    const seen = looks === 0 ? 0 : (100 * looks) / (looks + gaps.missed);
    const verdict = seen < leastSeen ? "unseen" : "pass";
    await this.keeper.journal({ phase: "over", verdict });
  }
}

/** Whether a check is in another state than at the look before. */
function isOther(before: WatchState, results: readonly CheckResult[]): boolean {
  return results.some(({ id, status, counts }) => {
    const newest = before.checks.find((each) => each.id === id)?.newest;
    return newest == null || newest.status !== status || newest.counts !== counts;
  });
}
