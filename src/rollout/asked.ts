import { liveness } from "../process/live-process.ts";
import type { OperationContext } from "../run/context.ts";
import type { Paused, RolloutFiles, RolloutRecord } from "./record.ts";

/** Milliseconds between two looks at whether somebody was heard, and how long that is waited for. */
const [lookEvery, patience] = [50, 3000];

/**
 * Ends a canary or a ramp that another process has under way. First the word, then what was given is taken back: one
 * that is just about to give more looks for the word afterwards. True: it has ended, or its process had.
 *
 * @param giveBack called again and again until it has ended
 * @param waiting called before each wait
 */
export async function abortRecorded<R extends RolloutRecord>(
  { actor, clock, signal }: OperationContext,
  files: RolloutFiles<R>,
  { token, process }: R,
  reason: string | undefined,
  giveBack: () => Promise<void>,
  waiting: () => void,
): Promise<boolean> {
  await files.askToAbort({ token, by: actor, reason: reason ?? null, at: clock.now().toISOString() });
  const end = clock.elapsed() + patience;
  for (;;) {
    await giveBack();
    const isGone = liveness(process) === "gone";
    if (isGone) await files.end(token);
    const acknowledged = isGone || (await files.read())?.token !== token;
    if (acknowledged || clock.elapsed() >= end) return acknowledged;
    waiting();
    await clock.sleep(lookEvery, signal);
  }
}

/**
 * Lets one that another process has under way go on from its pause. True: it has heard of it.
 *
 * @param waiting called before each wait
 */
export async function promoteRecorded<R extends RolloutRecord>(
  { actor, clock, signal }: OperationContext,
  files: RolloutFiles<R>,
  { token }: R,
  { step }: Paused,
  reason: string | undefined,
  waiting: () => void,
): Promise<boolean> {
  const at = clock.now().toISOString();
  await files.askToPromote({ token, step, by: actor, reason: reason ?? null, at, heard: false });
  const end = clock.elapsed() + patience;
  for (;;) {
    const acknowledged = (await files.readPromotion(token, step))?.heard === true;
    const isOver = (await files.read())?.token !== token;
    if (acknowledged || isOver || clock.elapsed() >= end) return acknowledged;
    waiting();
    await clock.sleep(lookEvery, signal);
  }
}
