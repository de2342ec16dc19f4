import { isIPv6 } from "node:net";
import type { Answer } from "dns-packet";

export const recordTypes = ["A", "AAAA", "CNAME", "TXT", "MX", "SRV"] as const;
export type RecordType = (typeof recordTypes)[number];

/** A record of an answer. */
export interface DnsRecord {
  /** Lower case, without the dot at its end; so are names in `value`. */
  readonly name: string;
  readonly type: string;
  /** Seconds that it may be kept for. */
  readonly ttl: number;
  /** `10.0.0.1`, `app.example.com`, `10 mail.example.com`, `10 5 5060 sip.example.com`, the text of a TXT. */
  readonly value: string;
}

export function recordOf(answer: Answer): DnsRecord | undefined {
  const value = textOf(answer);
  if (value === undefined || !("ttl" in answer)) return undefined;
  return { name: plainName(answer.name), type: answer.type, ttl: answer.ttl ?? 0, value };
}

/** Undefined for types that nobody asks for here. */
function textOf(answer: Answer): string | undefined {
  switch (answer.type) {
    case "A":
    case "AAAA":
      return canonicalValue(answer.type, answer.data);
    case "CNAME":
    case "NS":
      return plainName(answer.data);
    case "TXT": {
      const parts = Array.isArray(answer.data) ? answer.data : [answer.data];
      return parts.map((each) => each.toString("utf8")).join("");
    }
    case "MX":
      return `${answer.data.preference ?? 0} ${plainName(answer.data.exchange)}`;
    case "SRV": {
      const { priority = 0, weight = 0, port, target } = answer.data;
      return `${priority} ${weight} ${port} ${plainName(target)}`;
    }
    default:
      return undefined;
  }
}

/** As it is compared: names in lower case without a dot at the end, IPv6 in its shortest form (RFC 5952). */
export function canonicalValue(type: RecordType, text: string): string {
  if (type === "TXT") return text;
  if (type === "AAAA" && isIPv6(text)) return new URL(`http://[${text}]/`).hostname.slice(1, -1);
  return plainName(text.trim().replace(/\s+/g, " "));
}

export function plainName(name: string): string {
  return name.toLowerCase().replace(/\.$/, "");
}
