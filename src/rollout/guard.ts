import { randomBytes } from "node:crypto";
import { liveness, thisProcess } from "../process/live-process.ts";
import type { OperationContext } from "../run/context.ts";
import { pause } from "../run/pause.ts";
import type { Paused, RolloutFiles, RolloutRecord } from "./record.ts";
import type { PromotionRequest } from "./requests.ts";
import { Watchdog } from "./watchdog.ts";

/** Milliseconds to wait for what an earlier attempt left to take back what it had given. */
const handover = 15_000;

export interface GuardOptions<R extends RolloutRecord> {
  readonly version: string;
  /** What follows when this process is gone, or hangs. */
  readonly onCrash: "return" | "hold";
  /** Words of the command line that aborts it, behind `ops`: `traffic abort web`. */
  readonly abort: readonly string[];
  /** What its kind of record has beside the common part. */
  readonly own: Omit<R, keyof RolloutRecord>;
}

/** Lets others end or promote a canary or a ramp: `abort`, `promote`, and a watchdog when this process is gone. */
export class RolloutGuard<R extends RolloutRecord> {
  private readonly files: RolloutFiles<R>;
  private readonly record: R;
  private readonly watchdog: Watchdog | undefined;

  private constructor(files: RolloutFiles<R>, record: R, watchdog: Watchdog | undefined) {
    this.files = files;
    this.record = record;
    this.watchdog = watchdog;
  }

  /** Before anything is changed. */
  static async begin<R extends RolloutRecord>(
    context: OperationContext,
    files: RolloutFiles<R>,
    { version, onCrash, abort, own }: GuardOptions<R>,
  ): Promise<RolloutGuard<R>> {
    const token = randomBytes(8).toString("hex");
    const { environment } = context;
    const words = [
      ...[...abort, "--lease", token, "--env", environment.name],
      ...["--reason", "ops ended, or hung, without giving it back", "--yes", "--json"],
      ...(environment.file === undefined ? [] : ["--config", environment.file]),
    ];
    const watchdog =
      onCrash === "return" ? new Watchdog(words, environment.directory, files.record) : undefined;
    const common: RolloutRecord = {
      token,
      run: context.runId ?? null,
      actor: context.actor,
      version,
      since: context.clock.now().toISOString(),
      process: thisProcess(),
      watchdog: watchdog?.process ?? null,
      paused: null,
    };
    const record = { ...common, ...own } as R;
    await files.begin(record);
    return new RolloutGuard(files, record, watchdog);
  }

  /** Throws where somebody asked for its end. */
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

  /** All is where it should be: nothing is left to abort. */
  async over(): Promise<void> {
    await this.files.end(this.record.token);
    this.watchdog?.release();
  }

  /** It has given all it was to give, and can only be taken back by its run. */
  async passed(): Promise<void> {
    const { run, version, token } = this.record;
    if (run === null) await this.files.end(token);
    else if ((await this.files.read())?.token === token) await this.files.passed({ run, version });
    this.watchdog?.release();
  }

  /** What was given stays although it is not over; it can still be aborted. */
  held(): void {
    this.watchdog?.release();
  }
}

/** What the watchdog of an attempt that was killed has begun is waited for: what is there is read after it. */
export async function earlierIsOver<R extends RolloutRecord>(
  context: OperationContext,
  files: RolloutFiles<R>,
): Promise<void> {
  const { clock } = context;
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
