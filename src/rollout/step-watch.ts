import { formatDuration } from "../core/duration.ts";
import { badRequests, settledRequests } from "../request-source/counters.ts";
import type { RequestTimesFollower } from "../request-source/request-times.ts";
import type { OperationContext } from "../run/context.ts";
import { pause } from "../run/pause.ts";
import type { Sample } from "../run/sample.ts";
import type { Comparison, Finding, Learned } from "./comparison.ts";
import { comparisonReasons } from "./comparison-reasons.ts";
import type { ShareObservation } from "./confidence.ts";
import { type Look, observedShare, reasonsToAbort } from "./judge.ts";
import { countedWithin, hasNewCounts, type Sight, sight } from "./look.ts";
import type { Reading } from "./reading.ts";
import { CanarySamples } from "./samples.ts";
import { ShareWindow } from "./share-window.ts";
import { sameWeights, sharesOf } from "./shares.ts";
import type { StepResult } from "./step-result.ts";
import type { Watched, WatchedStep, WatchSettings } from "./watched.ts";
import { CanaryWindow } from "./window.ts";

/** What it takes to watch one step of a canary, whose weights are set. */
export interface Watching {
  readonly context: OperationContext;
  readonly route: Watched;
  readonly input: WatchSettings;
  readonly step: WatchedStep;
  readonly times: RequestTimesFollower | undefined;
  /** Undefined where nothing is compared. */
  readonly comparison: Comparison | undefined;
  /** What the limits need to know of bursts. */
  readonly learned: Learned;
  /** Throws where somebody has aborted the canary. */
  refuseAborted(): Promise<void>;
  /** Milliseconds that a sample for the journal is long, at least. */
  readonly sampleEvery: number;
  /** Called now and then, with a sample for the journal. */
  onSample(sample: Sample): void;
}

/** What one look at a step has found. */
export interface Seen {
  readonly reading: Reading;
  readonly look: Look;
  readonly got: ShareObservation;
  /** Why there are no new figures, and for how long; undefined: there are. */
  readonly without: string | undefined;
  readonly findings: readonly Finding[];
  /** Why the canary must end now; empty: go on. */
  readonly reasons: readonly string[];
  /** What was measured since the last look. */
  readonly sample: Sample | undefined;
}

/** Milliseconds that a sample for the screen is long, at least. */
const liveEvery = 1000;

/** Looks at one step, again and again, and judges what it sees. */
export class StepWatch {
  private readonly setup: Watching;
  private readonly share: number;
  private window: CanaryWindow;
  private shares: ShareWindow;
  private newest: Sight;
  private live: CanarySamples;
  private kept: CanarySamples;
  private readonly start: number;
  /** What was counted before the weights were set belongs to no step. */
  private begun: boolean;
  /** When the figures went missing. */
  private lost: number | undefined;
  /** While a version warms up, only its health counts. */
  private warm: "cold" | "warm";

  private constructor(setup: Watching, first: Sight, warm: "cold" | "warm") {
    this.setup = setup;
    this.share = sharesOf(setup.step.weights)[setup.input.to] ?? 0;
    this.warm = warm;
    this.newest = first;
    this.start = setup.context.clock.elapsed();
    this.begun = setup.route.requests.apart === undefined;
    this.window = this.windowFrom(first.reading);
    this.shares = this.sharesFrom(first.reading, "newest");
    [this.live, this.kept] = this.samplesFrom(first.reading);
  }

  static async begin(setup: Watching, warm: "cold" | "warm" = "warm"): Promise<StepWatch> {
    return new StepWatch(setup, await sight(setup.route, setup.context, undefined), warm);
  }

  /** From now on the figures are judged, and counted anew. */
  warmedUp(): void {
    this.warm = "warm";
    this.window = this.windowFrom(this.newest.reading);
    this.shares = this.sharesFrom(this.newest.reading, "newest");
  }

  /** From now on the version must have its share. */
  shareHasShown(): void {
    this.shares = this.sharesFrom(this.newest.reading, "all");
  }

  get isWarm(): boolean {
    return this.warm === "warm";
  }

  /**
   * The next look, so many milliseconds from now. Throws what ends a canary from outside: an abort, `E_TRAFFIC_DRIFT`,
   * a balancer that is away.
   */
  async next(wait: number): Promise<Seen> {
    const { context, route, input, step, times, comparison, learned } = this.setup;
    const { clock } = context;
    await pause(context, wait);
    const newest = await sight(route, context, this.newest.reading);
    const { reading } = newest;
    const isNew = hasNewCounts(newest, this.newest.reading);
    await this.setup.refuseAborted();
    const weights = Object.fromEntries(reading.map((each) => [each.version, each.weight]));
    if (!sameWeights(weights, step.weights)) throw route.drift(weights, step.weights);
    this.newest = newest;
    if (newest.missing === undefined) this.lost = undefined;
    else this.lost ??= clock.elapsed();
    if (!this.begun) {
      this.begun = countedWithin(newest, clock.elapsed() - this.start);
      this.window = this.windowFrom(reading);
      this.shares = this.sharesFrom(reading, "newest");
      [this.live, this.kept] = this.samplesFrom(reading);
    }
    const taken = times?.take();
    this.window.add(clock.elapsed(), reading, taken?.get(input.to));
    this.shares.add(clock.elapsed(), reading);
    if (this.isWarm) comparison?.add(reading, taken);
    const seen = this.window.look();
    const findings = comparison?.findings ?? [];
    const reasons = [
      ...reasonsToAbort(seen, input["abort-when"], input["min-requests"], learned).filter(
        () => this.isWarm || seen.health === "down",
      ),
      ...(this.isWarm ? comparisonReasons(seen, findings) : []),
    ];
    const measured = [clock.elapsed(), clock.now(), reading, taken, findings] as const;
    const kept = isNew ? this.kept.add(...measured, reasons.length > 0) : undefined;
    if (kept !== undefined) this.setup.onSample(kept);
    return {
      reading,
      look: seen,
      got:
        route.splits === "some-users" ? observedShare(seen, route.splits) : this.shares.observe(route.splits),
      without: newest.missing === undefined ? undefined : `${newest.missing} (${this.lostFor()})`,
      findings,
      reasons,
      sample: isNew ? this.live.add(...measured) : undefined,
    };
  }

  /** @param baked milliseconds */
  result({ look: seen, findings }: Seen, baked: number): StepResult {
    const { counts, times } = seen.sinceStart;
    const requests = settledRequests(counts);
    const errors = badRequests(counts);
    return {
      share: this.share,
      observedShare: seen.routeRequests === 0 ? null : (100 * counts.requests) / seen.routeRequests,
      requests,
      errors,
      errorRate: requests === 0 ? 0 : (100 * errors) / requests,
      serverErrors: counts.serverErrors,
      connectionErrors: counts.connectionErrors,
      responseErrors: counts.responseErrors,
      retries: counts.retries,
      redispatches: counts.redispatches,
      p95: times?.percentile(95) ?? null,
      meanResponse: seen.meanResponse ?? null,
      healthFailures: counts.failedChecks,
      bakedMs: Math.round(baked),
      restarts: this.window.restarts,
      comparison: [...findings],
    };
  }

  private windowFrom(reading: Reading): CanaryWindow {
    const { input, times, comparison } = this.setup;
    times?.take();
    comparison?.begin(reading);
    const at = this.setup.context.clock.elapsed();
    return new CanaryWindow(input.to, this.share, at, reading, times ? "with-times" : "without-times");
  }

  private sharesFrom(reading: Reading, counts: "newest" | "all"): ShareWindow {
    const at = this.setup.context.clock.elapsed();
    return new ShareWindow(this.setup.input.to, this.share / 100, at, reading, counts);
  }

  private samplesFrom(reading: Reading): [live: CanarySamples, kept: CanarySamples] {
    const at = this.setup.context.clock.elapsed();
    const shared = this.setup.route.kind === "route" ? "traffic" : "users";
    return [
      new CanarySamples(liveEvery, at, reading, shared),
      new CanarySamples(this.setup.sampleEvery, at, reading, shared),
    ];
  }

  private lostFor(): string {
    const { clock } = this.setup.context;
    return `for ${formatDuration(clock.elapsed() - (this.lost ?? clock.elapsed()))}`;
  }
}
