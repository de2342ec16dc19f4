import type { Json } from "../core/errors.ts";
import { type Message, shortened } from "./message.ts";

const keyLength = 255;
const summaryLength = 1024;

/**
 * An event of PagerDuty's Events API v2: a trouble triggers an incident, its end resolves the same one. Undefined for
 * what is neither: nobody is paged for a run that begins.
 * Source: developer.pagerduty.com (Events API v2: send an alert event).
 */
export function pagerDutyBody(message: Message, routingKey: string): { [key: string]: Json } | undefined {
  const { incident, subject, title, environment, host, severity, at, event, text, command, facts } = message;
  if (incident === null) return undefined;
  const dedupKey = shortened(`ops/${subject}`, keyLength);
  if (incident === "resolve")
    return { routing_key: routingKey, event_action: "resolve", dedup_key: dedupKey };
  return {
    routing_key: routingKey,
    event_action: "trigger",
    dedup_key: dedupKey,
    client: "ops",
    payload: {
      summary: shortened(title, summaryLength),
      source: host,
      severity,
      timestamp: at,
      component: subject.split("/").at(-1) ?? subject,
      group: environment,
      class: event,
      custom_details: {
        text,
        ...(command === null ? {} : { command }),
        ...Object.fromEntries(facts.map(({ name, value }) => [name, value])),
      },
    },
  };
}
