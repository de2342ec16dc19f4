import type { Position } from "../core/diagnostic.ts";

export interface SourcePlace {
  readonly position: Position;
  /** The line, with tabs as single spaces so that a caret below it points at the right character. */
  readonly sourceLine: string;
}

/**
 * Where PostgreSQL's error position stands in the text. The server counts characters from 1 (an emoji is one), while
 * JavaScript strings count UTF-16 units (an emoji is two); columns count characters.
 */
export function placeOfCharacter(sql: string, character: number): SourcePlace {
  return place(sql, [...sql].slice(0, Math.max(0, character - 1)));
}

/** Where an index into the JavaScript string stands. */
export function placeOfIndex(sql: string, index: number): SourcePlace {
  return place(sql, [...sql.slice(0, index)]);
}

function place(sql: string, before: readonly string[]): SourcePlace {
  const lastBreak = before.lastIndexOf("\n");
  const line = before.filter((each) => each === "\n").length + 1;
  return {
    position: { line, column: before.length - lastBreak },
    sourceLine: (sql.split("\n")[line - 1] ?? "").replace(/\r$/, "").replaceAll("\t", " "),
  };
}
