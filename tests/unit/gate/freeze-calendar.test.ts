import { describe, expect, test } from "vitest";
import { freezeState } from "../../../src/gate/freeze/calendar.ts";
import { icalCalendar } from "../../../src/gate/freeze/ical-calendar.ts";
import { yamlCalendar } from "../../../src/gate/freeze/yaml-calendar.ts";

const at = (text: string) => Date.parse(text);

/** What an iCalendar with these events says of a moment. */
async function ical(
  events: string,
  moment: string,
  options: { zones?: string; timeZone?: string; patience?: number } = {},
) {
  const text = [
    "BEGIN:VCALENDAR",
    "VERSION:2.0",
    "PRODID:test",
    options.zones ?? "",
    events,
    "END:VCALENDAR",
  ];
  const lines = text.flatMap((each) => each.split("\n")).map((each) => each.trim());
  const calendar = await icalCalendar(
    lines.filter(Boolean).join("\r\n"),
    "f.ics",
    options.timeZone,
    options.patience,
  );
  return state(freezeState(calendar, [], at(moment)));
}

function yaml(text: string, moment: string, timeZone?: string) {
  const calendar = yamlCalendar(text, "f.yaml", timeZone);
  return state(freezeState(calendar, calendar.exceptions, at(moment)));
}

function state({ current, exempt, next }: ReturnType<typeof freezeState>) {
  return {
    current: current === undefined ? null : `${current.title} until ${new Date(current.lasts).toISOString()}`,
    exempt: exempt === undefined ? null : `${exempt.window.title} by ${exempt.exception.by}`,
    next: next === undefined ? null : `${next.title} ${new Date(next.start).toISOString()}`,
  };
}

const event = (...lines: string[]) => ["BEGIN:VEVENT", "UID:1", ...lines, "END:VEVENT"].join("\n");

describe("iCalendar", () => {
  const weekend = [
    "SUMMARY:Weekend",
    "DTSTART;TZID=Europe/Berlin:20260102T160000",
    "DTEND;TZID=Europe/Berlin:20260105T080000",
    "RRULE:FREQ=WEEKLY",
  ];

  test("a weekly freeze follows the clocks of its zone into summer, though the file does not define the zone", async () => {
    expect(await ical(event(...weekend), "2026-07-03T13:59:00Z")).toMatchObject({
      current: null,
      next: "Weekend 2026-07-03T14:00:00.000Z",
    });
    expect(await ical(event(...weekend), "2026-07-03T14:00:00Z")).toMatchObject({
      current: "Weekend until 2026-07-06T06:00:00.000Z",
      next: "Weekend 2026-07-10T14:00:00.000Z",
    });
    expect(await ical(event(...weekend), "2026-01-02T14:30:00Z")).toMatchObject({ current: null });
  });

  test("the zone that the file defines is used, whatever it is called", async () => {
    const zones = `BEGIN:VTIMEZONE
      TZID:Our Standard Time
      BEGIN:STANDARD
      DTSTART:19700101T000000
      TZOFFSETFROM:+0500
      TZOFFSETTO:+0500
      END:STANDARD
      END:VTIMEZONE`;
    const own = event("SUMMARY:S", "DTSTART;TZID=Our Standard Time:20260301T100000", "DURATION:PT2H");

    expect(await ical(own, "2026-03-01T05:00:00Z", { zones })).toMatchObject({
      current: "S until 2026-03-01T07:00:00.000Z",
    });
  });

  test("EXDATE takes an occurrence away, also where it is written in UTC", async () => {
    const series = event(...weekend, "EXDATE:20260109T150000Z", "EXDATE;TZID=Europe/Berlin:20260116T160000");

    expect(await ical(series, "2026-01-10T12:00:00Z")).toMatchObject({
      current: null,
      next: "Weekend 2026-01-23T15:00:00.000Z",
    });
  });

  test("UNTIL ends a series, and RDATE adds to it", async () => {
    const ended = event(
      ...weekend.slice(0, 3),
      "RRULE:FREQ=WEEKLY;UNTIL=20260109T150000Z",
      "RDATE;TZID=Europe/Berlin:20260120T160000",
    );

    expect(await ical(ended, "2026-01-12T12:00:00Z")).toMatchObject({
      next: "Weekend 2026-01-20T15:00:00.000Z",
    });
    expect(await ical(ended, "2026-02-12T12:00:00Z")).toMatchObject({ current: null, next: null });
  });

  test("an occurrence that was moved freezes when it is, not when it would have been", async () => {
    const moved = event(
      "SUMMARY:Moved",
      "RECURRENCE-ID;TZID=Europe/Berlin:20260109T160000",
      "DTSTART;TZID=Europe/Berlin:20260107T160000",
      "DTEND;TZID=Europe/Berlin:20260107T180000",
    );
    const series = `${event(...weekend)}\n${moved}`;

    expect(await ical(series, "2026-01-07T16:00:00Z")).toMatchObject({
      current: "Moved until 2026-01-07T17:00:00.000Z",
    });
    expect(await ical(series, "2026-01-10T12:00:00Z")).toMatchObject({ current: null });
  });

  test("a whole day is one of the given zone, and its DTEND is no part of it", async () => {
    const day = event("SUMMARY:Day", "DTSTART;VALUE=DATE:20261224", "DTEND;VALUE=DATE:20261227");

    expect(await ical(day, "2026-12-23T23:00:00Z", { timeZone: "Europe/Berlin" })).toMatchObject({
      current: "Day until 2026-12-26T23:00:00.000Z",
    });
    expect(await ical(day, "2026-12-23T23:00:00Z")).toMatchObject({ current: null });
  });

  test("what follows without a gap is one freeze", async () => {
    const both = `${event("SUMMARY:A", "DTSTART:20260101T000000Z", "DTEND:20260102T000000Z")}
      ${event("SUMMARY:B", "DTSTART:20260102T000000Z", "DTEND:20260103T000000Z")}`;

    expect(await ical(both, "2026-01-01T12:00:00Z")).toMatchObject({
      current: "A until 2026-01-03T00:00:00.000Z",
    });
  });

  test("a cancelled event freezes nothing", async () => {
    const off = event("SUMMARY:A", "STATUS:CANCELLED", "DTSTART:20260101T000000Z", "DTEND:20260102T000000Z");

    expect(await ical(off, "2026-01-01T12:00:00Z")).toMatchObject({ current: null });
  });

  test.each([
    ["", "is no calendar"],
    ["BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\nDTSTART:20260101T000000Z\r\n", "is no calendar"],
    ["<html>not found</html>", "is no calendar"],
    ["BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\nSUMMARY:A\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n", "has no DTSTART"],
    [
      "BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\nDTSTART;TZID=Nowhere:20260101T000000\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n",
      'does not define its time zone "Nowhere"',
    ],
    ["BEGIN:VTODO\r\nEND:VTODO\r\n", "BEGIN:VCALENDAR"],
  ])("%j cannot be relied on", async (text, message) => {
    await expect(icalCalendar(text, "f.ics")).rejects.toThrow(message);
  });

  test("a freeze ends at the later of two times that the clocks show alike", async () => {
    const night = event(
      "SUMMARY:Night",
      "DTSTART;TZID=Europe/Berlin:20261025T010000",
      "DTEND;TZID=Europe/Berlin:20261025T023000",
    );

    expect(await ical(night, "2026-10-25T01:29:00Z")).toMatchObject({
      current: "Night until 2026-10-25T01:30:00.000Z",
    });
  });

  test.each(["FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30", "FREQ=DAILY;INTERVAL=99999999999"])(
    "%s never comes true, and does not hang the gate",
    async (rule) => {
      const never = event("SUMMARY:A", "DTSTART:20200101T000000Z", "DURATION:PT1H", `RRULE:${rule}`);

      await expect(ical(never, "2026-01-01T12:00:00Z", { patience: 200 })).rejects.toThrow("or never");
    },
  );

  test("a series without number does not hang the gate", async () => {
    const often = event("SUMMARY:A", "DTSTART:20200101T000000Z", "DURATION:PT1S", "RRULE:FREQ=SECONDLY");

    await expect(ical(often, "2026-01-01T12:00:00Z")).rejects.toThrow("recurs more than");
  });
});

describe("YAML", () => {
  const calendar = `
time-zone: Europe/Berlin
freezes:
  - { from: 2026-12-20 18:00, to: 2027-01-03, reason: Christmas }
  - { weekly: Fri 16:00 - Mon 08:00, reason: Weekend }
`;

  test.each([
    ["2026-03-27T14:59:00Z", null, "Weekend 2026-03-27T15:00:00.000Z"],
    // The clocks leap on Sunday: Monday 8:00 is an hour earlier in UTC.
    ["2026-03-27T15:00:00Z", "Weekend until 2026-03-30T06:00:00.000Z", "Weekend 2026-04-03T14:00:00.000Z"],
    ["2026-03-30T06:00:00Z", null, "Weekend 2026-04-03T14:00:00.000Z"],
    // Christmas begins on a Sunday: the weekend before goes over into it. "to" a day means that day too, which is a Sunday.
    ["2026-12-19T00:00:00Z", "Weekend until 2027-01-04T07:00:00.000Z", "Christmas 2026-12-20T17:00:00.000Z"],
  ])("%s", (moment, current, next) => {
    expect(yaml(calendar, moment)).toMatchObject({ current, next });
  });

  test("an exception counts up to its end", () => {
    const excepted = `${calendar}exceptions: [{ freeze: Weekend, reason: fix, by: Ada, until: 2026-06-07 }]`;

    expect(yaml(excepted, "2026-06-07T21:59:00Z")).toEqual({
      current: null,
      exempt: "Weekend by Ada",
      // The same weekend: it freezes again before it is over.
      next: "Weekend 2026-06-07T22:00:00.000Z",
    });
    expect(yaml(excepted, "2026-06-07T22:00:00Z").current).toMatch(/^Weekend/);
  });

  test("a weekly freeze may begin and end some day", () => {
    const bounded =
      "freezes: [{ weekly: Sat 00:00 - Sun 24:00, from: 2026-05-01, to: 2026-05-31, reason: May }]";

    expect(yaml(bounded, "2026-01-01T00:00:00Z")).toMatchObject({
      current: null,
      next: "May 2026-05-02T00:00:00.000Z",
    });
    expect(yaml(bounded, "2026-05-30T12:00:00Z")).toMatchObject({
      current: "May until 2026-06-01T00:00:00.000Z",
      next: null,
    });
  });

  test.each([
    ["freezes: [{ from: 2026-02-30, to: 2026-03-01, reason: a }]", '"2026-02-30" is no date'],
    ["freezes: [{ from: 2026-03-02, to: 2026-03-01, reason: a }]", '"to" does not lie after "from"'],
    ["freezes: [{ from: '2026-03-01T10:00+99:99', weekly: Fri 16:00 - Sat 8:00, reason: a }]", "is no date"],
    ["freezes: [{ weekly: Friday evening, reason: a }]", '"Friday evening" is no part of a week'],
    ["freezes: [{ from: 2026-03-02, reason: a }]", "does not say when"],
    ["freezes: [{ from: 2026-03-02, to: 2026-03-03 }]", 'missing key "reason"'],
    ["freezes: []\nexceptions: [{ by: Ada, reason: b }]", 'missing key "until"'],
    ["time-zone: Berlin\nfreezes: []", "is no time zone"],
    ["", "f.yaml"],
  ])("%j is refused at its place", (text, message) => {
    expect(() => yaml(text, "2026-01-01T00:00:00Z")).toThrow(message);
  });
});
