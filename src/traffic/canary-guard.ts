import { randomBytes } from "node:crypto";
import { liveness, thisProcess } from "../process/live-process.ts";
import type { PromotionRequest } from "../rollout/requests.ts";
import { CanaryWatchdog } from "../rollout/watchdog.ts";
import type { OperationContext } from "../run/context.ts";
import { pause } from "../run/pause.ts";
import { CanaryFiles, type CanaryRecord, type Paused } from "./canary-record.ts";
import type { RouteBefore } from "./shift.ts";

/** Milliseconds to wait for what an earlier attempt left to give its traffic back. */
const handover = 15_000;

/** Lets others end or promote a canary: `ops traffic abort`, `promote`, and a watchdog when this process is gone. */
export class CanaryGuard {
  private readonly files: CanaryFiles;
  private readonly record: CanaryRecord;
  private readonly watchdog: CanaryWatchdog | undefined;

  private constructor(files: CanaryFiles, record: CanaryRecord, watchdog: CanaryWatchdog | undefined) {
    this.files = files;
    this.record = record;
    this.watchdog = watchdog;
  }

  /** Before the first weight is changed. */
  static async begin(
    context: OperationContext,
    before: RouteBefore,
    version: string,
    onCrash: "return" | "hold",
  ): Promise<CanaryGuard> {
    const files = new CanaryFiles(context, before.route);
    const token = randomBytes(8).toString("hex");
    const { environment } = context;
    const words = [
      ...["traffic", "abort", before.route, "--lease", token, "--env", environment.name],
      ...["--reason", "ops ended, or hung, without giving the traffic back", "--yes", "--json"],
      ...(environment.file === undefined ? [] : ["--config", environment.file]),
    ];
    const watchdog =
      onCrash === "return" ? new CanaryWatchdog(words, environment.directory, files.record) : undefined;
    const record: CanaryRecord = {
      token,
      run: context.runId ?? null,
      actor: context.actor,
      version,
      before: before.weights,
      since: context.clock.now().toISOString(),
      process: thisProcess(),
      watchdog: watchdog?.process ?? null,
      paused: null,
    };
    await files.begin(record);
    return new CanaryGuard(files, record, watchdog);
  }

  /** Throws `E_CANARY_ABORTED` where somebody asked for it. */
  refuseAborted(): Promise<void> {
    return this.files.refuseAborted(this.record.token);
  }

  /** From now on it can be promoted. */
  async paused(paused: Paused): Promise<void> {
    await this.files.update({ ...this.record, paused });
  }

  /** Whoever has promoted this pause; undefined: nobody yet. They are told that it was heard. */
  async promotion(step: number): Promise<PromotionRequest | undefined> {
    const request = await this.files.readPromotion(this.record.token, step);
    if (request !== undefined && !request.heard) await this.files.askToPromote({ ...request, heard: true });
    return request;
  }

  /** It cannot be promoted any more. */
  async goesOn(): Promise<void> {
    await this.files.update(this.record);
  }

  /** The traffic is where it should be: nothing is left to abort. */
  async over(): Promise<void> {
    await this.files.end(this.record.token);
    this.watchdog?.release();
  }

  /** The traffic stays although the canary is not over; `ops traffic abort` can still give it back. */
  held(): void {
    this.watchdog?.release();
  }
}

/** What the watchdog of an attempt that was killed has begun is waited for: the weights are read after it. */
export async function earlierIsOver(context: OperationContext, route: string): Promise<void> {
  const { clock } = context;
  const files = new CanaryFiles(context, route);
  const end = clock.elapsed() + handover;
  for (;;) {
    const record = await files.read();
    const atWork = record?.watchdog != null && liveness(record.watchdog) === "alive";
    // A watchdog whose owner lives is released, or it is the run's own lock that keeps the two apart.
    if (record === undefined || !atWork || liveness(record.process) !== "gone" || clock.elapsed() >= end)
      return;
    await pause(context, 50);
  }
}

/**
 * After a change that leaves nothing of an earlier canary's traffic: what that had before it is not to come back. Only
 * for whoever holds the lock of the route, so that no canary is at work.
 */
export async function forgetEarlier(context: OperationContext, route: string): Promise<void> {
  await new CanaryFiles(context, route).forget();
}
