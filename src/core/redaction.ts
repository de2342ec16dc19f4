/**
 * Every secret that this process has revealed is remembered here, and everything that leaves the process
 * (output, errors, journal, logs) passes through `redact`. Values shorter than four characters are not
 * remembered: masking them would shred ordinary text.
 */
const known = new Set<string>();
const minimumLength = 4;
export const mask = "***";

export function rememberSecret(value: string): void {
  for (const form of [value, value.trim(), encodeURIComponent(value), JSON.stringify(value).slice(1, -1)]) {
    if (form.length >= minimumLength) known.add(form);
  }
  // A key file has many lines; each line alone is as secret as the whole.
  if (value.includes("\n"))
    for (const line of value.split(/\r?\n/)) if (line.trim().length >= 16) known.add(line.trim());
}

/** Replaces every remembered secret, and the password of anything that looks like a URL, by `***`. */
export function redact(text: string): string {
  let result = text;
  // Longest first, so that a secret that contains another one leaves nothing behind.
  for (const secret of [...known].sort((a, b) => b.length - a.length)) {
    if (result.includes(secret)) result = result.replaceAll(secret, mask);
  }
  return redactUrlPasswords(result).replace(/AGE-SECRET-KEY-[0-9A-Z-]+/g, mask);
}

/** `postgresql://app:hunter2@db/x` → `postgresql://app:***@db/x`. */
export function redactUrlPasswords(text: string): string {
  return text.replace(/\b([a-z][a-z0-9+.-]*:\/\/[^\s:/@'"]*):([^\s@'"]+)@/gi, `$1:${mask}@`);
}

const secretKey =
  /(["']?\b[\w-]*(?:pass?w|pwd|identity|secret|token)[\w-]*["']?\s*:\s+["']?)(?!(?:env|file|cmd):|\$\{\{|[\s[{|>"'*&])([^\s"',}]+)/gi;

/**
 * A line of a person's file as an error may show it: also without the values of keys that are named for a secret, and
 * without the password of a URL that lost its scheme.
 */
export function redactSourceLine(line: string): string {
  return redact(line)
    .replace(secretKey, `$1${mask}`)
    .replace(/(?<=["'\s])([\w.-]+):(?!\*\*\*)([^\s:/@'"]+)@/g, `$1:${mask}@`);
}

/** The same value with every string in it redacted. Keys are left alone. */
export function redactJson<T>(value: T): T {
  if (typeof value === "string") return redact(value) as T;
  if (Array.isArray(value)) return value.map((each) => redactJson(each)) as T;
  if (value !== null && typeof value === "object") {
    return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, redactJson(each)])) as T;
  }
  return value;
}
