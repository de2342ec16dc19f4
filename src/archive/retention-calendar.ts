/** The periods of grandfather-father-son, shortest first. */
export const periods = ["hourly", "daily", "weekly", "monthly", "yearly"] as const;
export type Period = (typeof periods)[number];

/** Names the period that a moment is in: equal texts for moments of the same one. */
export type Calendar = Readonly<Record<Period, (moment: Date) => string>>;

/** Days as a clock on the wall of this time zone tells them. */
export function calendarIn(timeZone: string): Calendar {
  const format = new Intl.DateTimeFormat("en-US", {
    timeZone,
    calendar: "gregory",
    numberingSystem: "latn",
    year: "numeric",
    month: "2-digit",
    day: "2-digit",
    hour: "2-digit",
    hourCycle: "h23",
    timeZoneName: "longOffset",
  });
  const parts = (moment: Date) => {
    const found = Object.fromEntries(format.formatToParts(moment).map(({ type, value }) => [type, value]));
    const { year = "", month = "", day = "", hour = "", timeZoneName = "" } = found;
    return { year, month, day, hour, timeZoneName };
  };
  return {
    // With the offset: the hour that comes twice in autumn is two hours.
    hourly: (moment) => {
      const { year, month, day, hour, timeZoneName } = parts(moment);
      return `${year}-${month}-${day} ${hour} ${timeZoneName}`;
    },
    daily: (moment) => {
      const { year, month, day } = parts(moment);
      return `${year}-${month}-${day}`;
    },
    weekly: (moment) => {
      const { year, month, day } = parts(moment);
      return isoWeek(Number(year), Number(month), Number(day));
    },
    monthly: (moment) => {
      const { year, month } = parts(moment);
      return `${year}-${month}`;
    },
    yearly: (moment) => parts(moment).year,
  };
}

/** `2026-W53`, after ISO 8601: a week begins on Monday and belongs to the year of its Thursday. */
function isoWeek(year: number, month: number, day: number): string {
  const date = new Date(Date.UTC(year, month - 1, day));
  const weekday = (date.getUTCDay() + 6) % 7;
  date.setUTCDate(date.getUTCDate() - weekday + 3);
  const thursday = date.getTime();
  const firstDay = Date.UTC(date.getUTCFullYear(), 0, 1);
  return `${date.getUTCFullYear()}-W${String(1 + Math.floor((thursday - firstDay) / (7 * 86_400_000))).padStart(2, "0")}`;
}
