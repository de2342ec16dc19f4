import type { RunListener } from "../../run/run-listener.ts";
import type { Terminal } from "../terminal.ts";
import { renderEntry } from "./entry.ts";
import { Pace, renderProgress } from "./progress.ts";

/** How often a pipe or a CI log hears of progress, in milliseconds. */
const interval = 5000;

/** Plain lines on standard error, each with its time, for a pipe or CI. */
export function lineListener(terminal: Terminal): RunListener {
  const { noteColor } = terminal;
  const say = (text: string) =>
    terminal.note(`${noteColor.dim(new Date().toISOString().slice(11, 19))} ${text}`);
  const heard = new Map<string, { pace: Pace; last: number }>();
  return {
    entry: (entry) => {
      const text = renderEntry(entry, noteColor);
      if (text !== undefined) say(text);
    },
    progress: (step, progress) => {
      if (progress.live === true) return;
      const now = Date.now();
      const known = heard.get(step) ?? { pace: new Pace(), last: 0 };
      heard.set(step, known);
      const text = renderProgress(progress, known.pace, now);
      if (now - known.last < interval) return;
      known.last = now;
      say(`  ${step}: ${text}`);
    },
    log: (step, text) => say(`  ${step}: ${text}`),
    note: say,
  };
}

/** One JSON document a line on standard output: every entry, and progress as it comes. */
export function eventListener(terminal: Terminal): RunListener {
  const write = (value: object) => terminal.out(JSON.stringify(value));
  return {
    entry: write,
    progress: (step, progress) => write({ type: "progress", step, ...progress }),
    log: (step, line) => write({ type: "log", step, line }),
    note: (text) => terminal.note(text),
  };
}
