import { z } from "zod";
import { DiagnosticsError } from "../../core/diagnostic.ts";
import { isTimeZone } from "../../core/time-zone.ts";
import { schemaDiagnostics, YamlSource } from "../../core/yaml-source.ts";
import { momentOf, wallTime } from "../../core/zoned-time.ts";
import type { FreezeCalendar, FreezeWindow } from "./calendar.ts";
import { checkedText, momentField } from "./moment-field.ts";
import { parseMoment, parseWeekly, type WeeklyWindow } from "./wall-text.ts";

const reason = z.string().trim().min(1, "must not be empty");

const freezeSchema = z
  .strictObject({
    from: momentField("begin").optional(),
    to: momentField("end").optional(),
    weekly: checkedText(parseWeekly).optional(),
    reason,
  })
  .superRefine(({ from, to, weekly }, context) => {
    if (weekly !== undefined || (from !== undefined && to !== undefined)) return;
    context.addIssue({
      code: "custom",
      message: "does not say when",
      params: { hint: 'write "from:" and "to:", or "weekly: Fri 16:00 - Mon 08:00"' },
    });
  });

/** An exception from a freeze, in a calendar or in a gate. */
export const exceptionSchema = z.strictObject({
  freeze: z
    .string()
    .trim()
    .min(1, "must not be empty")
    .optional()
    .describe("Title of the freeze; default: any"),
  reason: reason.describe("Why"),
  by: reason.describe("Who allowed it"),
  until: momentField("end").describe("When it ends: 2026-12-20 18:00"),
});

const calendarSchema = z.strictObject({
  "time-zone": z
    .string()
    .refine(isTimeZone, {
      message: "is no time zone that this machine knows",
      params: { hint: "write an IANA name: Europe/Berlin, UTC" },
    })
    .optional(),
  freezes: z.array(freezeSchema),
  exceptions: z.array(exceptionSchema).default([]),
});

type WrittenFreeze = z.output<typeof calendarSchema>["freezes"][number];
const day = 86_400_000;

/**
 * A calendar as a person writes it in YAML: times once and parts of every week. Throws a DiagnosticsError (`E_CALENDAR`) with every
 * mistake at its place.
 *
 * @param wanted the time zone that counts instead of the calendar's own
 */
export function yamlCalendar(content: string, shown: string, wanted?: string): FreezeCalendar {
  const source = new YamlSource(shown, content, "E_CALENDAR");
  const parsed = calendarSchema.safeParse(source.value, { reportInput: true });
  if (!parsed.success)
    throw new DiagnosticsError("E_CALENDAR", schemaDiagnostics(source, calendarSchema, parsed.error));
  const { freezes, exceptions } = parsed.data;
  const timeZone = wanted ?? parsed.data["time-zone"] ?? "UTC";
  const backwards = freezes.flatMap((each, index) => {
    const bounds = boundsOf(each, timeZone);
    if (bounds.from < bounds.to) return [];
    return [source.at(source.position(["freezes", index, "to"]), '"to" does not lie after "from"')];
  });
  if (backwards.length > 0) throw new DiagnosticsError("E_CALENDAR", backwards);
  return {
    timeZone,
    exceptions: exceptions.map((each) => ({
      ...each,
      freeze: each.freeze,
      until: parseMoment(each.until, timeZone, "end"),
    })),
    titles: freezes.map((each) => each.reason),
    windows: (from, to) => freezes.flatMap((each) => windowsOf(each, timeZone, from, to)),
  };
}

function windowsOf(freeze: WrittenFreeze, timeZone: string, from: number, to: number): FreezeWindow[] {
  const bounds = boundsOf(freeze, timeZone);
  const since = Math.max(from, bounds.from);
  const all = freeze.weekly === undefined ? [bounds] : weeks(parseWeekly(freeze.weekly), timeZone, since, to);
  return all
    .map((each) => ({
      title: freeze.reason,
      start: Math.max(bounds.from, each.from),
      end: Math.min(bounds.to, each.to),
    }))
    .filter((each) => each.start < each.end && each.end > from && each.start < to);
}

function boundsOf(freeze: WrittenFreeze, timeZone: string): { from: number; to: number } {
  return {
    from: freeze.from === undefined ? Number.NEGATIVE_INFINITY : parseMoment(freeze.from, timeZone, "begin"),
    to: freeze.to === undefined ? Number.POSITIVE_INFINITY : parseMoment(freeze.to, timeZone, "end"),
  };
}

function weeks({ from, to }: WeeklyWindow, timeZone: string, since: number, until: number) {
  const found: { from: number; to: number }[] = [];
  const length = (to.day - from.day + 7) % 7;
  const days = length === 0 && to.minute <= from.minute ? 7 : length;
  const first = wallTime(since - 8 * day, timeZone);
  for (let ahead = 0; ahead * day < until - since + 9 * day; ahead += 1) {
    const date = { ...first, day: first.day + ahead };
    if (new Date(Date.UTC(date.year, date.month - 1, date.day)).getUTCDay() !== from.day) continue;
    const begin = momentOf({ ...date, hour: 0, minute: from.minute, second: 0 }, timeZone, "earliest");
    const end = momentOf(
      { ...date, day: date.day + days, hour: 0, minute: to.minute, second: 0 },
      timeZone,
      "latest",
    );
    found.push({ from: begin, to: end });
  }
  return found;
}
