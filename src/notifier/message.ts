import { createHash } from "node:crypto";
import type { Json } from "../core/errors.ts";

/** From the least to the most severe; PagerDuty's own words. */
export const severities = ["info", "warning", "error", "critical"] as const;
export type Severity = (typeof severities)[number];

/** What somebody is told, before it has the form that a receiver wants. Holds no secrets. */
export type Message = {
  /** `run.failed` */
  event: string;
  severity: Severity;
  /** One line that says it all. */
  title: string;
  /** Plain text of a few lines. */
  text: string;
  environment: string;
  host: string;
  /** When it happened: UTC, ISO 8601. */
  at: string;
  /** What it is about, the same for a trouble and for its end: `run/production/deploy`. */
  subject: string;
  /** Whether it begins a trouble, ends it, or does neither. */
  incident: "trigger" | "resolve" | null;
  /** What to type next. */
  command: string | null;
  /** Names and values worth a table. */
  facts: { name: string; value: string }[];
  /** What programs read, beside the above: `run`, `step`, `exitCode`. */
  data: { [key: string]: Json };
};

/** What a receiver knows a notice by, the same at every attempt: letters, digits and `_`. */
export function messageId(environment: string, key: string): string {
  const digest = createHash("sha256").update(`${environment}\n${key}`).digest("hex");
  return `msg_${digest.slice(0, 32)}`;
}

/** The JSON that programs get: a receiver of one's own, a command, a file. */
export function messageData(message: Message, id: string): { [key: string]: Json } {
  const { text, title, event, severity, environment, host, at, command, data } = message;
  return { text, title, event, severity, environment, host, at, command, id, ...data };
}

/** At most so many characters, the last one an ellipsis where some are left out. */
export function shortened(text: string, length: number): string {
  return text.length <= length ? text : `${text.slice(0, length - 1)}…`;
}
