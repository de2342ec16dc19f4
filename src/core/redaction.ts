/**
 * Every secret that this process has revealed is remembered here, and everything that is shown (output, errors, logs)
 * passes through `redact`. What the engine reads back (the journal's `before`, inputs, outputs) is never redacted: a
 * password that is an ordinary word would destroy it. It is refused instead where it holds a secret (`holdsSecret`).
 */
const known = new Set<string>();
/** Shorter values are not masked: that would shred ordinary text. */
const minimumLength = 4;
/** From this length on a secret is masked wherever its characters stand, a shorter one only as a whole word. */
const maskedAnywhere = 8;
export const mask = "***";

/** How a variable is called that holds a secret. */
export const secretName = /TOKEN|SECRET|PASS|KEY|CREDENTIAL|AUTH/i;

export function rememberSecret(value: string): void {
  for (const form of [value, value.trim(), encodeURIComponent(value), JSON.stringify(value).slice(1, -1)]) {
    if (form.length >= minimumLength) known.add(form);
  }
  // A key file has many lines; each line alone is as secret as the whole.
  if (value.includes("\n"))
    for (const line of value.split(/\r?\n/)) if (line.trim().length >= 16) known.add(line.trim());
}

/** Replaces every remembered secret, and what looks like the password in a URL, by `***`. */
export function redact(text: string): string {
  return redactUrlPasswords(maskAll(text, [...known])).replace(/AGE-SECRET-KEY-[0-9A-Z-]+/g, mask);
}

/** Whether something that must be kept as it is holds a remembered secret that cannot be an ordinary word, or an age key. */
export function holdsSecret(value: unknown): boolean {
  const text = JSON.stringify(value) ?? "";
  return redactDistinct(text) !== text;
}

/** Masks only what cannot be an ordinary word; the rest of a program's output stays what later steps can work with. */
export function redactDistinct<T>(value: T): T {
  return mapTexts(value, (text) =>
    maskAll(text, [...known].filter(isDistinct)).replace(/AGE-SECRET-KEY-[0-9A-Z-]+/g, mask),
  );
}

function isDistinct(secret: string): boolean {
  return secret.length >= maskedAnywhere && /[^A-Za-z]/.test(secret);
}

function maskAll(text: string, secrets: readonly string[]): string {
  let result = text;
  // Longest first, so that a secret that contains another one leaves nothing behind.
  for (const secret of [...secrets].sort((a, b) => b.length - a.length)) {
    if (!result.includes(secret)) continue;
    if (secret.length >= maskedAnywhere) result = result.replaceAll(secret, mask);
    else
      result = result.replace(
        new RegExp(`(?<![A-Za-z0-9])${RegExp.escape(secret)}(?![A-Za-z0-9])`, "g"),
        mask,
      );
  }
  return result;
}

/**
 * `postgresql://app:hunter2@db/x` → `postgresql://app:***@db/x`, up to the last `@` of the word; also what stands
 * behind `password=` and the like, in a query or in libpq's own form.
 */
export function redactUrlPasswords(text: string): string {
  return text
    .replace(/\b([a-z][a-z0-9+.-]*:\/\/[^\s:/@'"]*):([^\s/'"]+)@/gi, `$1:${mask}@`)
    .replace(
      /\b(passw(?:or)?d|sslpassword|passfile_?key|access_token|auth_token|api_?key)=('[^']*'|[^\s&'"]+)/gi,
      `$1=${mask}`,
    );
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

/** The same value with every string in it redacted, for showing. Keys are left alone. */
export function redactJson<T>(value: T): T {
  return mapTexts(value, redact);
}

function mapTexts<T>(value: T, change: (text: string) => string): T {
  if (typeof value === "string") return change(value) as T;
  if (Array.isArray(value)) return value.map((each) => mapTexts(each, change)) as T;
  if (value !== null && typeof value === "object") {
    return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, mapTexts(each, change)])) as T;
  }
  return value;
}
