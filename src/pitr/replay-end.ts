import { OpsError } from "../core/errors.ts";
import { parseLsn } from "../wal-archive/lsn.ts";
import { type RestoreTarget, shownTarget } from "./restore-target.ts";

/** Where a replay ended, in the words of the server's log; null: it does not say. */
export interface ReplayEnd {
  /** `before commit of transaction 745, time 2026-11-21 14:31:59.123456+00`; null also where it went to the end. */
  readonly stoppedAt: string | null;
  /** The position of the last record that was replayed; null also where the server is paused. */
  readonly replayedTo: string | null;
  /** The time of the last transaction that was replayed, by the original server's clock. */
  readonly lastTransaction: string | null;
}

export function replayEnd(log: string): ReplayEnd {
  return {
    stoppedAt: /recovery stopping (.*)/.exec(log)?.[1] ?? null,
    replayedTo: /redo done at ([0-9A-F]+\/[0-9A-F]+)/.exec(log)?.[1] ?? null,
    lastTransaction: /last completed transaction was at log time (.*)/.exec(log)?.[1] ?? null,
  };
}

/** Holds the end of a replay against what was asked for. Throws `E_REPLAY` where it is another moment. */
export function requireAsked(target: RestoreTarget, end: ReplayEnd): void {
  if (isAsked(target, end)) return;
  const { stoppedAt, lastTransaction } = end;
  const last = lastTransaction === null ? "" : `; the last transaction in it is of ${lastTransaction}`;
  throw new OpsError(
    "E_REPLAY",
    `PostgreSQL did not stop where it was asked to, at ${shownTarget(target)}, but ${stoppedAt ?? "somewhere"}${last}`,
    {
      hint: "do not use what is restored; look at the server's log beside it for settings that were changed on the way",
      retryable: false,
    },
  );
}

function isAsked(target: RestoreTarget, { stoppedAt, lastTransaction }: ReplayEnd): boolean {
  switch (target.kind) {
    case "latest":
      return true;
    case "time": {
      const last = serverTime(lastTransaction);
      return last === undefined || last.getTime() <= Date.parse(target.time);
    }
    case "lsn": {
      const at = /location \(LSN\) "([0-9A-F/]+)"/.exec(stoppedAt ?? "")?.[1];
      return at === undefined || parseLsn(at) >= parseLsn(target.lsn);
    }
    case "transaction": {
      const stopped = /transaction (\d+)/.exec(stoppedAt ?? "")?.[1];
      return stopped === undefined || BigInt(stopped) === BigInt(target.transaction) % 2n ** 32n;
    }
    case "name":
      return stoppedAt === null || stoppedAt.includes(`"${target.name}"`);
  }
}

/** `2026-11-21 14:31:59.123456+00`, to the millisecond, rounded down; undefined for anything else. */
export function serverTime(text: string | null): Date | undefined {
  const pattern = /^(\d{4}-\d\d-\d\d) (\d\d:\d\d:\d\d(?:\.\d{1,3})?)\d*([+-]\d\d)(?::?(\d\d))?$/;
  const [, date, time, hours, minutes = "00"] = pattern.exec(text ?? "") ?? [];
  return date === undefined ? undefined : new Date(`${date}T${time}${hours}:${minutes}`);
}
