import type { Attempt, LineFormat, ParsedLine } from "./logged-request.ts";

/** Seconds (nginx's `$request_time`) or milliseconds. */
export type TimeUnit = "s" | "ms";

/** Text in double quotes, in which nginx and Apache write `\x22` or `\"` for a quote. */
const quoted = String.raw`"(?:[^"\\]|\\.)*"`;
/** The combined format, then time, "upstream address" and "upstream status". */
const combined = new RegExp(
  String.raw`^\S+ \S+ \S.*? \[[^\]]+\] ${quoted} (?<status>\d{3}) \S+ ${quoted} ${quoted} (?<time>[\d.]+) "(?<place>[^"]*)"(?: "(?<statuses>[^"]*)")?\s*$`,
);

/**
 * nginx's combined format with three variables behind it: `$request_time "$upstream_addr" "$upstream_status"`. The last one may be left
 * out; the middle one may be any that names the version.
 */
export function combinedLines(unit: TimeUnit): LineFormat {
  return (line) => {
    const found = combined.exec(line)?.groups;
    if (found === undefined) return "unknown";
    const { status = "", time = "", place = "", statuses } = found;
    return request({ place, status, statuses, time: milliseconds(time, unit) });
  };
}

/** The keys of a JSON line; a dot goes into a mapping, where no key has the whole name. */
export interface JsonFields {
  readonly version: string;
  readonly status: string;
  readonly time: string | undefined;
  /** Of every attempt, as `$upstream_status`. */
  readonly upstreamStatus: string | undefined;
}

export function jsonLines(fields: JsonFields, unit: TimeUnit): LineFormat {
  return (line) => {
    const record = parsed(line);
    if (record === undefined) return "unknown";
    const text = (field: string | undefined) => {
      const value = field === undefined ? undefined : fieldOf(record, field);
      return typeof value === "string" || typeof value === "number" ? String(value) : undefined;
    };
    const [place, status, time] = [text(fields.version), text(fields.status), text(fields.time)];
    if (place === undefined || status === undefined || !/^\d{3}$/.test(status)) return "unknown";
    const statuses = text(fields.upstreamStatus);
    return request({
      place,
      status,
      statuses,
      time: time === undefined ? undefined : milliseconds(time, unit),
    });
  };
}

interface Written {
  readonly place: string;
  readonly status: string;
  readonly statuses: string | undefined;
  readonly time: number | undefined;
}

/** nginx writes each server that it tried: `10.0.0.1:80, 10.0.0.2:80`, with ` : ` where it began anew inside. */
function request({ place, status, statuses, time }: Written): ParsedLine {
  // "-": no server was asked.
  const places = listOf(place).filter((each) => each !== "-");
  const each = listOf(statuses ?? "");
  const attempts = places.map((one, index): Attempt => {
    const last = index === places.length - 1;
    return attemptOf(one, each[index] ?? (last ? status : "-"), last, status);
  });
  const [first, ...rest] = attempts;
  if (first === undefined) return "other";
  return { attempts: [first, ...rest], movedHere: false, time };
}

/** 499 is nginx's own status for a client that went away. */
const clientGone = "499";

function attemptOf(place: string, status: string, last: boolean, clientStatus: string): Attempt {
  const answered = /^\d{3}$/.test(status) && status !== clientGone;
  // What was tried elsewhere was no good here, whatever its status.
  const broken = !last
    ? "by-server"
    : answered
      ? undefined
      : clientStatus === clientGone
        ? "by-client"
        : "by-server";
  return { place, status: answered ? Number(status) : undefined, broken, retries: 0 };
}

function listOf(text: string): string[] {
  return text.split(/\s*,\s*|\s+:\s+/).filter((each) => each !== "");
}

function milliseconds(text: string, unit: TimeUnit): number | undefined {
  const value = text === "" ? Number.NaN : Number(text);
  return Number.isFinite(value) && value >= 0 ? value * (unit === "s" ? 1000 : 1) : undefined;
}

function parsed(line: string): Readonly<Record<string, unknown>> | undefined {
  // Syslog may have put something in front.
  const start = line.indexOf("{");
  if (start === -1) return undefined;
  try {
    const value: unknown = JSON.parse(line.slice(start));
    return isRecord(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

function fieldOf(record: Readonly<Record<string, unknown>>, name: string): unknown {
  if (Object.hasOwn(record, name)) return record[name];
  let value: unknown = record;
  for (const key of name.split("."))
    value = isRecord(value) && Object.hasOwn(value, key) ? value[key] : undefined;
  return value;
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
