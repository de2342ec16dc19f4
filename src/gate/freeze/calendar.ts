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
  /** Those of all freezes, whenever they are. */
  readonly titles: readonly string[];
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
  const exceptionFrom = (window: FreezeWindow) =>
    exceptions
      .filter((each) => each.until > now && (each.freeze === undefined || each.freeze === window.title))
      .reduce<FreezeException | undefined>(
        (a, b) => (a === undefined || b.until > a.until ? b : a),
        undefined,
      );
  const windows = calendar
    .windows(now, now + horizon)
    .filter((each) => each.end > now && each.end > each.start)
    .sort((a, b) => a.start - b.start);
  const exempt = windows.flatMap((window) => {
    const exception = window.start <= now ? exceptionFrom(window) : undefined;
    return exception === undefined ? [] : [{ window, exception }];
  });
  // Where an exception ends in the middle of a freeze, the freeze begins then.
  const ahead = windows
    .map((each) => ({ ...each, start: Math.max(each.start, exceptionFrom(each)?.until ?? each.start) }))
    .filter((each) => each.start < each.end)
    .sort((a, b) => a.start - b.start);
  const current = ahead.find((each) => each.start <= now);
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
