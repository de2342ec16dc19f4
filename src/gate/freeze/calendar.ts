/** A time in which nothing is changed. Milliseconds since 1970; `end` is no part of it. */
export interface FreezeWindow {
  readonly title: string;
  readonly start: number;
  readonly end: number;
}

/** Somebody may change things in spite of a freeze, until then. */
export interface FreezeException {
  /** Title of the freeze; undefined: of any. */
  readonly freeze: string | undefined;
  readonly reason: string;
  readonly by: string;
  /** Milliseconds since 1970. */
  readonly until: number;
}

/** A change calendar, whatever its format. */
export interface FreezeCalendar {
  /** That of times that name none. */
  readonly timeZone: string;
  readonly exceptions: readonly FreezeException[];
  /** Every freeze that touches the time between two moments, in no order. */
  windows(from: number, to: number): FreezeWindow[];
}

/** What a calendar says of one moment. */
export interface FreezeState {
  /** In effect now, and until when it and those that follow on it without a gap last. */
  readonly current: (FreezeWindow & { readonly lasts: number }) | undefined;
  /** A freeze that there is an exception from now. */
  readonly exempt: { readonly window: FreezeWindow; readonly exception: FreezeException } | undefined;
  readonly next: FreezeWindow | undefined;
  /** Exceptions that count no more. */
  readonly expired: readonly FreezeException[];
}

/** How far ahead the next freeze is looked for: milliseconds. */
export const horizon = 366 * 86_400_000;

/** Pure. */
export function freezeState(
  calendar: Pick<FreezeCalendar, "windows">,
  exceptions: readonly FreezeException[],
  now: number,
): FreezeState {
  const exceptionAt = (window: FreezeWindow, at: number) =>
    exceptions.find((each) => each.until > at && (each.freeze === undefined || each.freeze === window.title));
  const windows = calendar
    .windows(now, now + horizon)
    .filter((each) => each.end > now && each.end > each.start)
    .sort((a, b) => a.start - b.start);
  const standing = windows.filter((each) => each.start <= now);
  const current = standing.find((each) => exceptionAt(each, now) === undefined);
  const exempt = standing.flatMap((window) => {
    const exception = exceptionAt(window, now);
    return exception === undefined ? [] : [{ window, exception }];
  });
  const ahead = windows.filter((each) => exceptionAt(each, Math.max(now, each.start)) === undefined);
  return {
    current: current === undefined ? undefined : { ...current, lasts: lastsUntil(current.end, ahead) },
    exempt: exempt[0],
    next: ahead.find((each) => each.start > now),
    expired: exceptions.filter((each) => each.until <= now),
  };
}

function lastsUntil(end: number, sorted: readonly FreezeWindow[]): number {
  return sorted.reduce((until, each) => (each.start <= until ? Math.max(until, each.end) : until), end);
}
