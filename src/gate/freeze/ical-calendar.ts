import { Script } from "node:vm";
import type ICAL from "ical.js";
import { causeText, OpsError } from "../../core/errors.ts";
import { isTimeZone } from "../../core/time-zone.ts";
import { momentOf, offset } from "../../core/zoned-time.ts";
import type { FreezeCalendar, FreezeWindow } from "./calendar.ts";

/** A calendar with more occurrences up to the next year is none of change freezes. */
const mostOccurrences = 20_000;

type Library = typeof ICAL;

/**
 * A calendar in iCalendar (RFC 5545): every event is a freeze, except for cancelled ones. Recurrence rules, EXDATE, RDATE, moved
 * occurrences, all-day events, and time zones of the file or by their IANA names. Throws `E_CALENDAR`.
 *
 * @param wanted the time zone of whole days and of times that name none; undefined: the calendar's own, else UTC
 * @param patience milliseconds that reading it, and each look into it, may take
 */
export async function icalCalendar(
  text: string,
  shown: string,
  wanted?: string,
  patience = 5000,
): Promise<FreezeCalendar> {
  const { default: library } = await import("ical.js");
  const broken = (why: string, cause?: unknown) =>
    new OpsError("E_CALENDAR", `${shown} is no calendar that can be relied on: ${why}`, {
      cause,
      retryable: false,
    });
  const read = (): FreezeCalendar => {
    const parsed = library.parse(text) as unknown[];
    const trees = (Array.isArray(parsed[0]) ? parsed : [parsed]) as unknown[][];
    const calendars = trees.map(
      (each) => new library.Component(each as ConstructorParameters<Library["Component"]>[0]),
    );
    if (calendars.length === 0 || calendars.some((each) => each.name !== "vcalendar"))
      throw broken("it does not begin with BEGIN:VCALENDAR");
    const named = calendars[0]?.getFirstPropertyValue("x-wr-timezone");
    const timeZone = wanted ?? (typeof named === "string" && isTimeZone(named) ? named : "UTC");
    for (const calendar of calendars) useTimeZones(library, calendar, broken);
    const series = calendars.flatMap((each) => seriesOf(library, each, broken));
    return {
      timeZone,
      exceptions: [],
      titles: series.flatMap((each) => [each, ...changesOf(each)].map(titleOf)),
      windows: (from, to) =>
        guarded(() => series.flatMap((each) => occurrences(each, { from, to, timeZone, broken })), {
          patience,
          broken,
        }),
    };
  };
  return guarded(read, { patience, broken });
}

const call = new Script("work()");

/**
 * A rule that never comes true (the 30th of February, every day) has the library look for it for ever, and nothing else in
 * this process would run again. Throws `E_CALENDAR`.
 */
function guarded<T>(work: () => T, { patience, broken }: { patience: number; broken: Broken }): T {
  try {
    return call.runInNewContext({ work }, { timeout: patience }) as T;
  } catch (error) {
    if (error instanceof OpsError) throw error;
    // It is an error of the other context, and none of this one's class.
    const code = typeof error === "object" && error !== null && "code" in error ? error.code : undefined;
    const isLate = code === "ERR_SCRIPT_EXECUTION_TIMEOUT";
    throw broken(
      isLate
        ? "an event recurs by a rule that comes true too seldom, or never"
        : (causeText(error) ?? "it cannot be read"),
    );
  }
}

type Broken = (why: string) => OpsError;

/** Makes known to the library, by this machine's rules, the zones that the file names but does not define. */
function useTimeZones(library: Library, calendar: ICAL.Component, broken: Broken): void {
  for (const event of calendar.getAllSubcomponents("vevent")) {
    for (const property of event.getAllProperties()) {
      const zone = property.getParameter("tzid");
      if (typeof zone !== "string" || calendar.getTimeZoneByID(zone) !== null) continue;
      if (library.TimezoneService.has(zone)) continue;
      if (!isTimeZone(zone))
        throw broken(`it does not define its time zone "${zone}", which is no IANA name`);
      library.TimezoneService.register(ianaZone(library, zone), zone);
    }
  }
}

/** Zones by the rules of this machine. */
const byThisMachine = new WeakSet<ICAL.Timezone>();

function ianaZone(library: Library, name: string): ICAL.Timezone {
  const zone = new library.Timezone({ tzid: name });
  byThisMachine.add(zone);
  zone.utcOffset = (time: ICAL.Time) => {
    const at = momentOf({ ...fields(time) }, name, "earliest");
    return offset(at, name) / 1000;
  };
  return zone;
}

/** An event with what was changed about single occurrences of it. */
function seriesOf(library: Library, calendar: ICAL.Component, broken: Broken): ICAL.Event[] {
  const events = calendar.getAllSubcomponents("vevent").map((each) => new library.Event(each));
  for (const each of events)
    if (each.startDate === null) throw broken(`the event "${each.summary}" has no DTSTART`);
  const masters = events.filter((each) => !each.isRecurrenceException());
  const changed = events.filter((each) => each.isRecurrenceException());
  for (const each of changed) masters.find(({ uid }) => uid === each.uid)?.relateException(each);
  // One occurrence that was sent without its series is an event by itself.
  const alone = changed.filter(({ uid }) => !masters.some((each) => each.uid === uid));
  return [...masters, ...alone];
}

interface Asked {
  readonly from: number;
  readonly to: number;
  readonly timeZone: string;
  readonly broken: Broken;
}

function changesOf(event: ICAL.Event): ICAL.Event[] {
  return Object.values(event.exceptions ?? {}) as ICAL.Event[];
}

function titleOf(event: ICAL.Event): string {
  return event.summary?.trim() || "freeze";
}

function occurrences(event: ICAL.Event, asked: Asked): FreezeWindow[] {
  const { from, to, timeZone, broken } = asked;
  if (!event.isRecurring())
    return within([windowOf(event, event.startDate, event.endDate, timeZone)], from, to);
  const found: (FreezeWindow | undefined)[] = [];
  const iterator = event.iterator();
  for (let count = 0; ; count += 1) {
    if (count === mostOccurrences)
      throw broken(`the event "${event.summary}" recurs more than ${mostOccurrences} times`);
    const next = iterator.next();
    if (next === null || next === undefined || momentOfTime(next, timeZone, "earliest") > to) break;
    const { item, startDate, endDate } = event.getOccurrenceDetails(next);
    found.push(windowOf(item, startDate, endDate, timeZone));
  }
  // An occurrence that was moved from far ahead to now.
  found.push(...changesOf(event).map((each) => windowOf(each, each.startDate, each.endDate, timeZone)));
  return within(found, from, to);
}

function windowOf(
  event: ICAL.Event,
  start: ICAL.Time,
  end: ICAL.Time,
  timeZone: string,
): FreezeWindow | undefined {
  const status = event.component.getFirstPropertyValue("status");
  if (typeof status === "string" && status.toUpperCase() === "CANCELLED") return undefined;
  return {
    title: titleOf(event),
    start: momentOfTime(start, timeZone, "earliest"),
    end: momentOfTime(end, timeZone, "latest"),
  };
}

function within(found: readonly (FreezeWindow | undefined)[], from: number, to: number): FreezeWindow[] {
  const touching = found.filter((each) => each !== undefined && each.end > from && each.start < to);
  return touching as FreezeWindow[];
}

/** A time without a zone, and a whole day, are those of the calendar's zone. */
function momentOfTime(time: ICAL.Time, timeZone: string, pick: "earliest" | "latest"): number {
  const floating = time.isDate || time.zone === null || time.zone.tzid === "floating";
  if (floating) return momentOf(fields(time), timeZone, pick);
  // A time that clocks show twice is the later one where a freeze ends.
  return byThisMachine.has(time.zone)
    ? momentOf(fields(time), time.zone.tzid, pick)
    : time.toUnixTime() * 1000;
}

function fields(time: ICAL.Time) {
  const { year, month, day, isDate } = time;
  const clock = isDate
    ? { hour: 0, minute: 0, second: 0 }
    : { hour: time.hour, minute: time.minute, second: time.second };
  return { year, month, day, ...clock };
}
