import type { Clock } from "../core/clock.ts";
import { inParallel } from "../core/parallel.ts";
import type { Sent } from "../notifier/sent.ts";
import type { Channel, Notice, Outbox } from "./outbox.ts";

/** While a process sends a notice no other one does, unless it is gone. Milliseconds. */
const claimed = 90_000;
/** A success of an hour ago is no sign of life; that something failed is worth a day of trying. Milliseconds. */
const patience: Record<Channel, number> = { ping: 3_600_000, notification: 86_400_000 };
/** The first pause between two attempts and the longest one, milliseconds. */
const pause = 60_000;
const longestPause = 30 * 60_000;
/** For a next attempt where this one was cut short by us. Milliseconds. */
const soon = 1000;
/** Attempts beside each other, to one receiver. */
const atOnce = 8;

export interface Delivery {
  readonly clock: Clock;
  readonly channels: readonly Channel[];
  /** Sends one, once; throws for nothing but a fault of the program. */
  send(notice: Notice, signal: AbortSignal): Promise<Sent>;
  /** Aborting it ends attempts that are under way; what is left waits for the next process. */
  readonly signal?: AbortSignal | undefined;
  /** `at-once`: also what waits for its next attempt. */
  readonly when?: "in-time" | "at-once";
  /** Only these. */
  readonly only?: (notice: Notice) => boolean;
}

/** What became of one notice in this call. */
export interface Attempt {
  readonly notice: Notice;
  readonly outcome: "delivered" | "postponed" | "given-up";
  /** What the receiver said. */
  readonly answer: string | null;
  /** What went wrong, or is not as it should be. */
  readonly problem: string | null;
}

/**
 * Sends what is waiting, each at least once: a process that is killed between the sending and the note of it leaves it
 * to be sent again, with the same id. Notices of one subject go in their order, the others beside each other; no receiver
 * waits for another one.
 */
export async function deliver(outbox: Outbox, delivery: Delivery): Promise<Attempt[]> {
  const { channels, only = () => true, signal = new AbortController().signal } = delivery;
  const waiting = outbox.notices("waiting").filter((each) => channels.includes(each.channel) && only(each));
  const receivers = Map.groupBy(waiting, ({ channel, target, source }) =>
    JSON.stringify([channel, channel === "ping" ? source : target]),
  );
  const never = new AbortController().signal;
  const attempts = await Promise.all(
    [...receivers.values()].map((notices) =>
      inParallel(queuesOf(notices), atOnce, never, (queue) => deliverQueue(outbox, delivery, queue, signal)),
    ),
  );
  return attempts.flat(2);
}

function queuesOf(notices: readonly Notice[]): (readonly Notice[])[] {
  return [...Map.groupBy(notices, ({ id, subject }) => subject ?? id).values()];
}

/** Stops at the first one that does not get through. */
async function deliverQueue(
  outbox: Outbox,
  delivery: Delivery,
  queue: readonly Notice[],
  signal: AbortSignal,
): Promise<Attempt[]> {
  const attempts: Attempt[] = [];
  for (const { id } of queue) {
    if (signal.aborted) break;
    const now = delivery.clock.now().getTime();
    const notice = outbox.claim(id, now, now + claimed, delivery.when);
    if (notice === undefined) break;
    const attempt = book(outbox, notice, await delivery.send(notice, signal), delivery.clock, signal);
    attempts.push(attempt);
    if (attempt.outcome === "postponed") break;
  }
  return attempts;
}

function book(outbox: Outbox, notice: Notice, sent: Sent, clock: Clock, signal: AbortSignal): Attempt {
  const now = clock.now().getTime();
  if (sent.sent) {
    const problem = sent.remark ?? null;
    outbox.delivered(notice.id, now, problem);
    return { notice, outcome: "delivered", answer: sent.answer, problem };
  }
  const { problem, final, retryAfter = 0, rest } = sent;
  const tries = notice.attempts + 1;
  if (final === true || now - notice.createdAt > patience[notice.channel]) {
    outbox.giveUp(notice.id, now, problem);
    const why = `${problem}; given up after ${tries} ${tries === 1 ? "attempt" : "attempts"}`;
    return { notice, outcome: "given-up", answer: null, problem: why };
  }
  const wait = signal.aborted ? soon : Math.max(retryAfter, pauseAfter(notice));
  outbox.postpone(notice.id, now + wait, problem, rest);
  return { notice, outcome: "postponed", answer: null, problem: `${problem}; will be tried again` };
}

/**
 * Doubles with each attempt, less up to a quarter at random: machines that failed together do not come back together,
 * and the tick that is to try again, which comes at a whole minute, is not missed. A ping's pause stays short.
 */
function pauseAfter({ attempts, channel }: Notice): number {
  const whole = channel === "ping" ? pause * (attempts + 1) : Math.min(pause * 2 ** attempts, longestPause);
  return Math.round(whole * (0.75 + Math.random() / 8)) - soon;
}
