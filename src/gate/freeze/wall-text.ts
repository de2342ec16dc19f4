import { UsageError } from "../../core/errors.ts";
import { momentOf, type WallTime } from "../../core/zoned-time.ts";

/** A date or a time as it is written; `offset` where it names its own: `Z`, `+01:00`. */
interface Written {
  readonly wall: WallTime;
  readonly wholeDay: boolean;
  readonly offset: string | undefined;
}

/**
 * `2026-12-20 18:00`, `2026-12-20T18:00:00+01:00`, `2026-12-20`: the moment in milliseconds since 1970. A day alone is its first moment
 * for `begin` and the end of it for `end`: who writes "to 3 January" means that day too. Throws `E_CALENDAR_TIME`.
 */
export function parseMoment(text: string, timeZone: string, edge: "begin" | "end"): number {
  const { wall, wholeDay, offset } = written(text);
  if (offset !== undefined) return Date.parse(`${text.trim().replace(" ", "T")}`);
  if (wholeDay && edge === "end") return momentOf({ ...wall, day: wall.day + 1 }, timeZone, "latest");
  return momentOf(wall, timeZone, edge === "begin" ? "earliest" : "latest");
}

function written(text: string): Written {
  const match = /^(\d{4})-(\d{2})-(\d{2})(?:[T ](\d{2}):(\d{2})(?::(\d{2}))?(Z|[+-]\d{2}:\d{2})?)?$/.exec(
    text.trim(),
  );
  if (match === null) throw notMoment(text);
  const [year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0] = match
    .slice(1, 7)
    .map((each) => Number(each ?? 0));
  const there = new Date(Date.UTC(year, month - 1, day, hour, minute, second));
  const exists =
    there.getUTCMonth() === month - 1 && there.getUTCDate() === day && minute < 60 && second < 60;
  const isOffset = /^([+-]([01]\d|2[0-3]):[0-5]\d|Z)?$/.test(match[7] ?? "");
  if (!exists || hour > 23 || !isOffset) throw notMoment(text);
  return {
    wall: { year, month, day, hour, minute, second },
    wholeDay: match[4] === undefined,
    offset: match[7],
  };
}

function notMoment(text: string): UsageError {
  return new UsageError("E_CALENDAR_TIME", `"${text}" is no date and no time`, {
    hint: "write 2026-12-20, 2026-12-20 18:00 or 2026-12-20T18:00:00Z",
  });
}

/** A part of every week. Days count from Sunday, 0; a time is in minutes after midnight, up to 24:00. */
export interface WeeklyWindow {
  readonly from: { readonly day: number; readonly minute: number };
  readonly to: { readonly day: number; readonly minute: number };
}

const days = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

/** `Fri 16:00 - Mon 08:00`, `Sat 00:00 – Sun 24:00`. Throws `E_CALENDAR_TIME`. */
export function parseWeekly(text: string): WeeklyWindow {
  const match = /^\s*([a-z]+)\s+(\d{1,2}):(\d{2})\s*(?:-|–|—|to)\s*([a-z]+)\s+(\d{1,2}):(\d{2})\s*$/i.exec(
    text,
  );
  const edge = (name = "", hours = "", minutes = "") => {
    const day = days.indexOf(dayName(name));
    const minute = Number(hours) * 60 + Number(minutes);
    return day === -1 || Number(minutes) > 59 || minute > 1440 ? undefined : { day, minute };
  };
  const from = edge(match?.[1], match?.[2], match?.[3]);
  const to = edge(match?.[4], match?.[5], match?.[6]);
  if (from !== undefined && to !== undefined) return { from, to };
  throw new UsageError("E_CALENDAR_TIME", `"${text}" is no part of a week`, {
    hint: "write: Fri 16:00 - Mon 08:00",
  });
}

/** `fri` of `Fri` and of `Friday`; nothing of other words. */
function dayName(text: string): string {
  const long = ["sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday"];
  const lower = text.toLowerCase();
  const whole = long.find((each) => each === lower || each.slice(0, 3) === lower);
  return whole?.slice(0, 3) ?? "";
}
