import { z } from "zod";
import { formatDuration } from "../../core/duration.ts";
import type { Json } from "../../core/errors.ts";
import { formatMoment } from "../../core/moment.ts";
import { duration } from "../../core/schema.ts";
import { suggestion } from "../../core/suggestion.ts";
import { isTimeZone } from "../../core/time-zone.ts";
import { type CheckLimits, defineCheck, type Judgement, type Measurement } from "../../run/check.ts";
import { judgeByLimits } from "../../run/limits.ts";
import {
  type FreezeCalendar,
  type FreezeException,
  type FreezeWindow,
  freezeState,
} from "../freeze/calendar.ts";
import { icalCalendar } from "../freeze/ical-calendar.ts";
import { parseMoment } from "../freeze/wall-text.ts";
import { exceptionSchema, yamlCalendar } from "../freeze/yaml-calendar.ts";
import { type ReportFile, readReports, reportEvidence } from "../report-file.ts";

type Shown = { readonly title: string; readonly start: string; readonly end: string };

/** `next` is what the value counts towards; times are UTC, ISO 8601. */
type FreezeEvidence = {
  readonly timeZone: string;
  readonly frozen: { readonly [key: string]: string } | null;
  readonly exempt: { readonly [key: string]: string } | null;
  readonly next: Shown | null;
  /** Of exceptions that still count, those from a freeze that no calendar has. */
  readonly astray: string[];
  readonly files: Json;
};

export const freezeCheck = defineCheck({
  kind: "freeze",
  summary:
    "Whether a change calendar (iCalendar or YAML) lets changes be made now; a limit is the time to the next freeze",
  why: "During a freeze nobody is there to mend what a change breaks.",
  remedy: "Wait until the freeze is over, or have an exception written down with its reason and its end.",
  neverKept: true,
  limitUnits: ["duration"],
  input: z.strictObject({
    calendar: z.string().min(1, "must not be empty").describe("The file: freezes.yaml, or .ics"),
    "time-zone": z
      .string()
      .refine(isTimeZone, {
        message: "is no time zone that this machine knows",
        params: { hint: "write an IANA name: Europe/Berlin, UTC" },
      })
      .optional()
      .describe("Of times that name none; default: the calendar's own, else UTC"),
    "max-age": duration("How old the file may be; default: any").optional(),
    exceptions: z
      .array(exceptionSchema)
      .default([])
      .describe("Who may change things in spite of which freeze, why, until when"),
  }),
  measure: async (context, input): Promise<Measurement> => {
    const files = await readReports(context, [input.calendar], input["max-age"]);
    const calendars = await Promise.all(files.map((each) => read(each, input["time-zone"])));
    const timeZone = input["time-zone"] ?? calendars[0]?.timeZone ?? "UTC";
    const own = input.exceptions.map(({ freeze, reason, by, until }) => ({
      ...{ freeze, reason, by },
      until: parseMoment(until, timeZone, "end"),
    }));
    const exceptions: FreezeException[] = [...own, ...calendars.flatMap((each) => each.exceptions)];
    const now = context.clock.now().getTime();
    const windows = (from: number, to: number) => calendars.flatMap((each) => each.windows(from, to));
    const { current, exempt, next, expired } = freezeState({ windows }, exceptions, now);
    const evidence: FreezeEvidence = {
      timeZone,
      frozen:
        current === undefined
          ? null
          : {
              ...shownWindow(current),
              until: formatMoment(current.lasts, timeZone),
              left: formatDuration(current.lasts - now),
              ...lapsed(expired, current, timeZone),
            },
      exempt:
        exempt === undefined
          ? null
          : {
              ...shownWindow(exempt.window),
              by: exempt.exception.by,
              reason: exempt.exception.reason,
              until: formatMoment(exempt.exception.until, timeZone),
            },
      next: next === undefined ? null : shownWindow(next),
      astray: astray(
        exceptions,
        calendars.flatMap((each) => each.titles),
        now,
      ),
      files: reportEvidence(files),
    };
    const shown =
      next === undefined
        ? "no freeze within a year"
        : `next freeze ("${next.title}") begins in ${formatDuration(next.start - now)}, ${formatMoment(next.start, timeZone)}`;
    return { value: next === undefined ? null : next.start - now, shown, evidence };
  },
  judge: (measurement, _input, limits) => {
    const { status, reason } = judge(measurement, limits);
    const { astray } = measurement.evidence as FreezeEvidence;
    return { status, reason: [reason, ...astray].join("; ") };
  },
});

/** A title with a mistake in it would let nobody through, and say nothing. */
function astray(exceptions: readonly FreezeException[], titles: readonly string[], now: number): string[] {
  return exceptions.flatMap(({ freeze, by, until }) =>
    freeze === undefined || until <= now || titles.includes(freeze)
      ? []
      : [
          `the exception by ${by} is from "${freeze}", which is no freeze here (${suggestion(freeze, new Set(titles))})`,
        ],
  );
}

function judge({ value, shown, evidence }: Measurement, limits: CheckLimits): Judgement {
  const { frozen, exempt } = evidence as FreezeEvidence;
  if (frozen !== null) {
    const lapsedText = frozen.lapsed === undefined ? "" : `; ${frozen.lapsed}`;
    return {
      status: "fail",
      reason: `change freeze "${frozen.title}" until ${frozen.until} (${frozen.left} left)${lapsedText}`,
    };
  }
  const ahead: Judgement =
    typeof value === "number" ? judgeByLimits(value, shown, limits) : { status: "pass", reason: shown };
  if (exempt === null || ahead.status === "fail") return ahead;
  const { title, by, reason, until } = exempt;
  return {
    status: "warn",
    reason: `change freeze "${title}", with an exception by ${by} until ${until}: ${reason}; ${ahead.reason}`,
  };
}

async function read(file: ReportFile, timeZone: string | undefined): Promise<FreezeCalendar> {
  const isYaml = /\.(ya?ml|json)$/i.test(file.shown);
  return isYaml
    ? yamlCalendar(file.text, file.shown, timeZone)
    : icalCalendar(file.text, file.shown, timeZone);
}

function shownWindow({ title, start, end }: FreezeWindow): Shown {
  return { title, start: iso(start), end: iso(end) };
}

function iso(at: number): string {
  return new Date(at).toISOString();
}

function lapsed(
  expired: readonly FreezeException[],
  { title }: FreezeWindow,
  timeZone: string,
): { readonly [key: string]: string } {
  const found = expired.find((each) => each.freeze === undefined || each.freeze === title);
  if (found === undefined) return {};
  return { lapsed: `the exception by ${found.by} ended ${formatMoment(found.until, timeZone)}` };
}
