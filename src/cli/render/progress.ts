import { formatDuration } from "../../core/duration.ts";
import { formatBytes } from "../../core/size.ts";
import type { Progress } from "../../run/operation.ts";

const width = 24;

/** `dumping ████████░░░░ 43% · 12 MiB of 30 MiB · 8s left` */
export function renderProgress(progress: Progress, startedAt: number, now: number): string {
  const { message, done, total, unit, leftMs } = progress;
  if (done === undefined) return message;
  if (total === undefined || total <= 0) return `${message} · ${amount(done, unit)}`;
  const share = Math.min(1, done / total);
  const filled = Math.round(share * width);
  const bar = `${"█".repeat(filled)}${"░".repeat(width - filled)}`;
  const elapsed = now - startedAt;
  const guessed = share > 0 && elapsed > 500 ? (elapsed / share) * (1 - share) : undefined;
  const remaining = leftMs ?? guessed;
  const left = remaining === undefined || share === 1 ? "" : ` · ${formatDuration(remaining)} left`;
  // Time passed of time planned says no more than the share and what is left.
  const amounts = unit === "ms" ? "" : ` · ${ofTotal(done, total, unit)}`;
  return `${message} ${bar} ${Math.floor(share * 100)}%${amounts}${left}`;
}

function ofTotal(done: number, total: number, unit: Progress["unit"]): string {
  const first = unit === "bytes" ? formatBytes(done) : String(done);
  return `${first} of ${amount(total, unit)}`;
}

function amount(value: number, unit: Progress["unit"]): string {
  if (unit === "bytes") return formatBytes(value);
  if (unit === "ms") return formatDuration(value);
  return unit === undefined ? String(value) : `${value} ${unit}`;
}
