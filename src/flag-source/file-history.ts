import { randomUUID } from "node:crypto";
import { type FileHandle, open, readFile } from "node:fs/promises";
import type { Json } from "../core/errors.ts";
import { sameJson } from "./definition.ts";
import type { Difference } from "./flag-set.ts";
import type { ChangeNote, FlagChange } from "./flag-source.ts";

/*
 * The history of a file of flags: one JSON object a line. An entry is written, and durable, before the file gets its
 * change, and another line says that it has got it. Where a crash comes between the two, what the file says tells
 * whether the change has happened: such an entry is the newest of its flag, and is left out where it led nowhere.
 */

/** A change as it was announced. */
export interface AnnouncedChange {
  readonly change: FlagChange;
  /** Whether a line says that it has happened; undefined in an entry of before there were such lines. */
  readonly done: boolean | undefined;
}

/**
 * Writes the entries, durable when it returns. Half a line that a crash left is ended first.
 *
 * @returns what `confirmHistory` is told once the file has the change
 */
export async function appendHistory(
  path: string,
  note: ChangeNote,
  changes: readonly Difference[],
  at: Date,
): Promise<string> {
  const id = randomUUID();
  const entries = changes.map(({ subject, name, before, after }) =>
    JSON.stringify({
      at: at.toISOString(),
      actor: note.actor,
      run: note.run ?? null,
      operation: note.operation,
      reason: note.reason ?? null,
      subject,
      name,
      before,
      after,
      id,
    } satisfies FlagChange & { id: string }),
  );
  await appendLines(path, entries);
  return id;
}

export function confirmHistory(path: string, id: string): Promise<void> {
  return appendLines(path, [JSON.stringify({ done: id })]);
}

async function appendLines(path: string, lines: readonly string[]): Promise<void> {
  const handle = await open(path, "a+", 0o644);
  try {
    const start = (await endsInLine(handle)) ? "" : "\n";
    await handle.appendFile(`${start}${lines.join("\n")}\n`);
    await handle.datasync();
  } finally {
    await handle.close();
  }
}

async function endsInLine(handle: FileHandle): Promise<boolean> {
  const { size } = await handle.stat();
  if (size === 0) return true;
  const { buffer } = await handle.read(Buffer.alloc(1), 0, 1, size - 1);
  return buffer[0] === 0x0a;
}

/** Oldest first; lines that are none (half of one, or by another hand) are left out. */
export async function readHistory(path: string): Promise<AnnouncedChange[]> {
  const text = await readFile(path, "utf8").catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return "";
    throw error;
  });
  const lines = text.split("\n").map(parsed);
  const done = new Set(lines.flatMap((line) => (typeof line?.done === "string" ? [line.done] : [])));
  return lines.flatMap((line) => {
    if (typeof line?.at !== "string" || typeof line.name !== "string") return [];
    const { id, ...change } = line;
    return [
      { change: change as unknown as FlagChange, done: typeof id === "string" ? done.has(id) : undefined },
    ];
  });
}

function parsed(line: string): { readonly [key: string]: unknown } | undefined {
  if (line.trim() === "") return undefined;
  try {
    const value: unknown = JSON.parse(line);
    return typeof value === "object" && value !== null ? { ...value } : undefined;
  } catch {
    return undefined;
  }
}

/** Without what was announced and then did not happen: each entry begins where the one before it has led. */
export function carriedOut(
  history: readonly AnnouncedChange[],
  present: (entry: Difference) => Json | null,
): FlagChange[] {
  const kept: FlagChange[] = [];
  const next = new Map<string, Json | null>();
  for (const { change, done } of history.toReversed()) {
    const key = `${change.subject} ${change.name}`;
    const follows = next.get(key);
    const isLast = follows === undefined;
    const led = isLast ? present(change) : follows;
    // By hand, between two entries, anything may have happened: of an old one only what led nowhere is left out.
    const nowhere = !sameJson(change.after, led);
    const failed = done === undefined ? nowhere && sameJson(change.before, led) : !done && nowhere;
    if (!failed) {
      kept.push(change);
      next.set(key, change.before);
    }
  }
  return kept.toReversed();
}
