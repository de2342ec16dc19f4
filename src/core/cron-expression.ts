import { Cron } from "croner";
import { UsageError } from "./errors.ts";
import { isTimeZone } from "./time-zone.ts";

const hourMs = 3_600_000;
/** How far to look back for the last time, step by step; a leap day comes every eight years at the latest. */
const reaches = [hourMs, 24 * hourMs, 32 * 24 * hourMs, 367 * 24 * hourMs, 8 * 367 * 24 * hourMs];

/**
 * Five fields (minute, hour, day of month, month, day of week) or a nickname (`@daily`) in a time zone. Where the
 * clock is put forward, a fixed time of the hour that is left out comes right after the change; where it is put back,
 * a fixed time comes once, and what comes every hour or every few minutes goes on through both hours.
 */
export class CronExpression {
  readonly text: string;
  /** An IANA name: `Europe/Berlin`. */
  readonly timezone: string;
  private readonly cron: Cron;

  /** Throws `E_CRON` where it is none, where the time zone is unknown, or where its time never comes. */
  constructor(text: string, timezone: string) {
    this.text = text;
    this.timezone = timezone;
    if (!isTimeZone(timezone)) {
      throw new UsageError("E_CRON", `"${timezone}" is not a time zone`, {
        hint: "write its IANA name: Europe/Berlin, America/New_York, UTC",
      });
    }
    try {
      // An ISO date is a pattern for croner, and would come once.
      if (/^\s*\d{4}-/.test(text)) throw new Error("it is a date");
      this.cron = new Cron(text.trim(), { timezone, paused: true, mode: "5-part" });
    } catch (error) {
      throw new UsageError("E_CRON", `"${text}" is not a cron expression: ${reason(error)}`, {
        hint: 'write minute, hour, day of month, month and day of week: "0 3 * * *" is every day at 03:00',
      });
    }
    if (this.next(new Date(), 1).length === 0) {
      throw new UsageError("E_CRON", `"${text}" never comes: there is no such day`, {
        hint: "look at its day of month and its month",
      });
    }
  }

  /** The first `count` times after a moment. */
  next(after: Date, count: number): Date[] {
    return this.cron.nextRuns(count, after);
  }

  /** Times from the newest one at or before `moment` backwards, none at or before `after`. */
  *latest(moment: Date, after: Date): Generator<Date> {
    let until = moment.getTime() + 1;
    for (const reach of reaches) {
      const from = Math.max(after.getTime(), moment.getTime() - reach);
      const found = this.between(from, until);
      yield* found.reverse();
      if (from === after.getTime()) return;
      until = from + 1;
    }
  }

  /** The longest pause between two of the next times, in milliseconds: a weekend where it runs on working days. */
  longestPause(from: Date): number {
    return Math.max(...this.pauses(from));
  }

  shortestPause(from: Date): number {
    return Math.min(...this.pauses(from));
  }

  private pauses(from: Date): number[] {
    const times = this.next(from, 60).map((each) => each.getTime());
    const pauses = times.slice(1).map((each, index) => each - (times[index] ?? each));
    return pauses.length === 0 ? [Number.POSITIVE_INFINITY] : pauses;
  }

  /** After `from` (exclusive) and before `until` (exclusive), in milliseconds since 1970, oldest first. */
  private between(from: number, until: number): Date[] {
    const found: Date[] = [];
    for (let at = this.cron.nextRun(new Date(from)); at !== null && at.getTime() < until; ) {
      found.push(at);
      at = this.cron.nextRun(at);
    }
    return found;
  }
}

function reason(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  if (/parts/.test(text)) return "it needs five fields";
  if (/@reboot/.test(text)) return "@reboot is no time";
  return text.replace(/^CronPattern: /, "").replace(/^[A-Z](?=[a-z])/, (letter) => letter.toLowerCase());
}
