/** A moment for a person, to the minute: `2026-11-24 16:05 UTC`, or in a time zone with its name behind it. */
export function formatMoment(at: Date | number, timeZone = "UTC"): string {
  const text = new Intl.DateTimeFormat("sv-SE", {
    timeZone,
    year: "numeric",
    month: "2-digit",
    day: "2-digit",
    hour: "2-digit",
    minute: "2-digit",
  }).format(at);
  return `${text} ${timeZone}`;
}
