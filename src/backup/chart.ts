import { columns } from "../core/columns.ts";
import { formatDuration } from "../core/duration.ts";
import { formatBytes } from "../core/size.ts";
import { isPlain, type Screen } from "../run/screen.ts";
import type { Standing } from "./standing.ts";

const eighths = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];

/** A bar of at most `width` characters for `value` out of `most`: in eighths of a character, or of `#` in plain text. */
export function bar(value: number, most: number, width: number, screen: Screen): string {
  const share = most > 0 ? Math.min(1, Math.max(0, value / most)) : 0;
  const plain = isPlain(screen);
  const steps = Math.round(share * width * (plain ? 1 : 8));
  // Something is never shown as nothing.
  const shown = value > 0 ? Math.max(1, steps) : 0;
  if (plain) return "#".repeat(shown);
  return "█".repeat(Math.floor(shown / 8)) + (eighths[shown % 8] ?? "");
}

/** Size and duration of each backup, a line each, oldest first; as wide as the screen lets it be, 100 columns at most. */
export function chart({ history, warnings }: Standing, screen: Screen): string[] {
  const { color } = screen;
  const room = Math.min(100, screen.columns);
  // What stands beside the bars: the margin, the time, size and duration at their widest, and the gaps.
  const bars = Math.max(8, room - 2 - 16 - 9 - 8 - 8);
  const widths = { size: Math.ceil(bars * 0.6), time: Math.floor(bars * 0.4) };
  const most = {
    size: Math.max(...history.map((each) => each.bytes)),
    time: Math.max(...history.map((each) => each.durationMs)),
  };
  const rows = history.map((each, index) => {
    const newest = index === history.length - 1;
    const odd = (kind: string) => newest && warnings.some((warning) => warning.kind === kind);
    const size = bar(each.bytes, most.size, widths.size, screen);
    const time = bar(each.durationMs, most.time, widths.time, screen);
    return [
      each.startedAt.slice(0, 16).replace("T", " "),
      formatBytes(each.bytes),
      odd("smaller") ? color.yellow(size) : color.cyan(size),
      formatDuration(each.durationMs),
      odd("slower") ? color.yellow(time) : color.blue(time),
    ];
  });
  return columns([["UTC", "SIZE", "", "TIME", ""], ...rows], new Set([1, 3])).map((line, index) =>
    index === 0 ? `  ${color.dim(line)}` : `  ${line}`,
  );
}
