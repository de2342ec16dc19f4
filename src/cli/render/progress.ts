import { formatDuration } from "../../core/duration.ts";
import { formatBytes } from "../../core/size.ts";
import type { Progress } from "../../run/operation.ts";

const width = 24;

/**
 * How fast the work of a step goes, piece by piece: one that counts something else, or from its beginning again, says
 * nothing of the time that the next one takes.
 */
export class Pace {
  private piece = "";
  private last = 0;
  private begin: { readonly at: number; readonly done: number } = { at: 0, done: 0 };

  /** Milliseconds to go at this moment (milliseconds too); undefined where it is too early to tell. */
  left({ message, done, total, unit }: Progress, now: number): number | undefined {
    const piece = `${unit ?? ""} ${message.split(" ", 1)[0]}`;
    if (done === undefined || piece !== this.piece || done < this.last)
      this.begin = { at: now, done: done ?? 0 };
    this.piece = piece;
    this.last = done ?? 0;
    if (done === undefined || total === undefined) return undefined;
    const [took, did] = [now - this.begin.at, done - this.begin.done];
    return took > 500 && did > 0 ? Math.max(0, (took / did) * (total - done)) : undefined;
  }
}

/** `dumping ████████░░░░ 43% · 12 MiB of 30 MiB · 8s left` */
export function renderProgress(progress: Progress, pace: Pace, now: number): string {
  const { message, done, total, unit } = progress;
  const remaining = progress.leftMs ?? pace.left(progress, now);
  if (done === undefined) return message;
  if (total === undefined || total <= 0) return `${message} · ${amount(done, unit)}`;
  const share = Math.min(1, done / total);
  const filled = Math.round(share * width);
  const bar = `${"█".repeat(filled)}${"░".repeat(width - filled)}`;
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
