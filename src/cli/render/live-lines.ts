import { stripVTControlCharacters } from "node:util";
import type { Terminal } from "../terminal.ts";

/**
 * Lines on a person's terminal that appear one by one while work goes on, and make room for its result. A pipe gets
 * none of them: it gets the result.
 */
export class LiveLines {
  private readonly terminal: Terminal;
  private shown = 0;

  constructor(terminal: Terminal) {
    this.terminal = terminal;
  }

  /** Cut to one line, so that it can be taken away again. */
  add(text: string): void {
    if (!this.terminal.interactive) return;
    const line = stripVTControlCharacters(text).replaceAll(/\s+/g, " ");
    const room = this.terminal.width - 1;
    const cut = line.length > room ? `${line.slice(0, Math.max(0, room - 1))}…` : line;
    this.terminal.note(this.terminal.noteColor.dim(cut));
    this.shown += 1;
  }

  /** A line that stays. */
  note(text: string): void {
    this.clear();
    this.terminal.note(text);
  }

  /** What has scrolled out of the window stays there: only as much is taken away as a window shows. */
  clear(): void {
    const rows = Math.min(this.shown, (process.stderr.rows ?? 24) - 1);
    this.shown = 0;
    if (rows > 0) process.stderr.write(`\u001b[${rows}A\u001b[0J`);
  }
}
