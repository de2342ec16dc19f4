import { collect } from "../outbox/collect.ts";
import { deliver } from "../outbox/delivery.ts";
import { sendNotice } from "../outbox/send.ts";
import type { OperationContext } from "../run/context.ts";
import { SqliteJournal } from "../run/sqlite-journal.ts";
import type { Ledger } from "./ledger.ts";
import { type PingKind, sendPing } from "./ping.ts";
import type { Schedule } from "./schedule.ts";

/**
 * Tells whom it is owed: what schedules have to say, and what runs had to say that were killed before they said it.
 * Returns what went wrong; that never fails a run.
 */
export async function tellAll(
  context: OperationContext,
  ledger: Ledger,
  schedules: readonly Schedule[],
): Promise<string[]> {
  const { environment, stateDirectory, clock } = context;
  if (SqliteJournal.exists(stateDirectory)) {
    const journal = SqliteJournal.openToRead(stateDirectory, clock);
    try {
      await collect(context, ledger.outbox, journal);
    } finally {
      await journal.close();
    }
  }
  const attempts = await deliver(ledger.outbox, {
    clock,
    channels: ["ping", "notification"],
    send: async (notice, signal) => {
      if (notice.channel === "notification") return sendNotice(environment, clock, notice, signal);
      const schedule = schedules.find(({ name }) => name === notice.source);
      // A schedule that is configured no more has nobody to be told.
      if (schedule === undefined) return { sent: true, answer: "nobody to be told" };
      return sendPing(context, schedule, notice.target as PingKind, signal);
    },
  });
  return attempts.flatMap(({ problem }) => problem ?? []);
}
