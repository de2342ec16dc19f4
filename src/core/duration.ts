import { UsageError } from "./errors.ts";

/** A length of time in milliseconds. */
export type Duration = number & { readonly __unit: "ms" };

const units: Record<string, number> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** `500ms`, `10s`, `10m`, `1h30m`, `7d`. Throws `E_DURATION` on anything else, a bare number included. */
export function parseDuration(text: string): Duration {
  const trimmed = text.trim();
  const part = /(\d+(?:\.\d+)?)(ms|s|m|h|d)/gy;
  let total = 0;
  let end = 0;
  for (let match = part.exec(trimmed); match !== null; match = part.exec(trimmed)) {
    total += Number(match[1]) * (units[match[2] ?? ""] ?? Number.NaN);
    end = part.lastIndex;
  }
  if (end === 0 || end !== trimmed.length || !Number.isFinite(total)) {
    throw new UsageError("E_DURATION", `"${text}" is not a duration`, {
      hint: "write a number with a unit: 500ms, 10s, 5m, 1h30m, 7d",
    });
  }
  return total as Duration;
}

export function milliseconds(value: number): Duration {
  return value as Duration;
}

/** For people: `0.4s`, `12s`, `3m 05s`, `2h 10m`, `3d 4h`. */
export function formatDuration(ms: number): string {
  if (ms < 1000) return `${Math.round(ms)}ms`;
  if (ms < 9_950) return `${(ms / 1000).toFixed(1)}s`;
  const seconds = Math.round(ms / 1000);
  if (seconds < 60) return `${seconds}s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)}m ${String(seconds % 60).padStart(2, "0")}s`;
  const minutes = Math.round(ms / 60_000);
  if (minutes < 1440) return `${Math.floor(minutes / 60)}h ${String(minutes % 60).padStart(2, "0")}m`;
  const hours = Math.round(ms / 3_600_000);
  return `${Math.floor(hours / 24)}d ${hours % 24}h`;
}
