import { randomBytes } from "node:crypto";
import { UsageError } from "../core/errors.ts";
import type { StrategyName } from "./strategy-name.ts";

/** What ops may write into its section of a backend. */
export type Section = {
  /** The whole line: `balance leastconn`; null: HAProxy's default. */
  balance: string | null;
  /** The line that keeps users on their server by a cookie. */
  cookie: string | null;
  /** The line that takes failing servers out. */
  breaker: string | null;
};

export interface WrittenSection extends Section {
  /** Of the cookies: it stays in the file when they go, so that they are valid again when they come back. */
  readonly cookieKey: string | null;
  /** The worker that ran when it was written: as long as it answers, the section is not loaded. */
  readonly worker: string | null;
}

const note = "Written by ops: between these lines, leave changes to it. Worker then: ";

/** Throws `E_POOL_SECTION` (usage) where there is a line that ops does not write. */
export function parseSection(lines: readonly string[], file: string, pool: string): WrittenSection {
  const section = {
    balance: null as string | null,
    cookie: null as string | null,
    breaker: null as string | null,
    cookieKey: null as string | null,
    worker: null as string | null,
  };
  for (const line of lines) {
    const [first, second] = line.split(/\s+/);
    if (first?.startsWith("#")) {
      if (line.includes(note)) section.worker = line.slice(line.indexOf(note) + note.length).trim();
    } else if (first === "balance") section.balance = line;
    else if (first === "cookie") section.cookie = line;
    else if (first === "dynamic-cookie-key" && second !== undefined) section.cookieKey = second;
    else if (first === "default-server" && second === "observe") section.breaker = line;
    else {
      throw new UsageError(
        "E_POOL_SECTION",
        `${file}: the section of ops for ${pool} has the line "${line}"`,
        {
          hint: `move it out of there: ops writes "balance", "cookie", "dynamic-cookie-key" and "default-server observe" lines only`,
        },
      );
    }
  }
  return section;
}

/** @param worker that runs now */
export function sectionLines(wanted: Section, present: WrittenSection, worker: string): string[] {
  const needsKey = wanted.cookie?.split(/\s+/).includes("dynamic") === true;
  const key = present.cookieKey ?? (needsKey ? randomBytes(16).toString("hex") : null);
  return [
    `# ${note}${worker}`,
    ...(wanted.balance === null ? [] : [wanted.balance]),
    ...(wanted.cookie === null ? [] : [wanted.cookie]),
    ...(key === null ? [] : [`dynamic-cookie-key ${key}`]),
    ...(wanted.breaker === null ? [] : [wanted.breaker]),
  ];
}

export function sameSection(a: Section, b: Section): boolean {
  return a.balance === b.balance && a.cookie === b.cookie && a.breaker === b.breaker;
}

const balanceOf: Record<StrategyName, string> = {
  "round-robin": "balance roundrobin",
  weighted: "balance roundrobin",
  "least-connections": "balance leastconn",
  sticky: "balance roundrobin",
};

/** @param cookie the name of the cookie, where the strategy has one */
export function sectionFor(strategy: StrategyName, cookie: string, present: Section): Section {
  return {
    balance: balanceOf[strategy],
    cookie: strategy === "sticky" ? `cookie ${cookie} insert indirect nocache httponly dynamic` : null,
    breaker: present.breaker,
  };
}
