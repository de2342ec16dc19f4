/** What a clock on a wall shows; months count from 1. Days may run over: the 32nd is the 1st of the next month. */
export interface WallTime {
  readonly year: number;
  readonly month: number;
  readonly day: number;
  readonly hour: number;
  readonly minute: number;
  readonly second: number;
}

const day = 86_400_000;
const formats = new Map<string, Intl.DateTimeFormat>();

/** What the clocks of a time zone show at a moment (milliseconds since 1970). */
export function wallTime(at: number, timeZone: string): WallTime {
  const parts = Object.fromEntries(
    format(timeZone)
      .formatToParts(at)
      .map(({ type, value }) => [type, Number(value)]),
  );
  const { year = 0, month = 0, day: dayOfMonth = 0, hour = 0, minute = 0, second = 0 } = parts;
  return { year, month, day: dayOfMonth, hour, minute, second };
}

/**
 * The moment, in milliseconds since 1970, at which the clocks of a time zone show this. Where they show it twice, `pick` says which
 * one; where they leap over it, it is as long after the leap as it would have been without one.
 */
export function momentOf(wall: WallTime, timeZone: string, pick: "earliest" | "latest"): number {
  const asUtc = utc(wall);
  const offsets = [asUtc - day, asUtc + day].map((at) => offset(at, timeZone));
  const shown = offsets.map((each) => asUtc - each).filter((at) => at + offset(at, timeZone) === asUtc);
  if (shown.length === 0) return asUtc - (offsets[0] ?? 0);
  return pick === "earliest" ? Math.min(...shown) : Math.max(...shown);
}

/** Milliseconds that the clocks of a time zone are ahead of UTC. */
export function offset(at: number, timeZone: string): number {
  return utc(wallTime(at, timeZone)) - Math.floor(at / 1000) * 1000;
}

function utc({ year, month, day: dayOfMonth, hour, minute, second }: WallTime): number {
  return Date.UTC(year, month - 1, dayOfMonth, hour, minute, second);
}

function format(timeZone: string): Intl.DateTimeFormat {
  const known = formats.get(timeZone);
  if (known !== undefined) return known;
  const made = new Intl.DateTimeFormat("en-US", {
    timeZone,
    calendar: "gregory",
    hourCycle: "h23",
    year: "numeric",
    month: "numeric",
    day: "numeric",
    hour: "numeric",
    minute: "numeric",
    second: "numeric",
  });
  formats.set(timeZone, made);
  return made;
}
