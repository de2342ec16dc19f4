import { type FileHandle, open, readFile } from "node:fs/promises";
import type { Json } from "../core/errors.ts";
import { sameJson } from "./definition.ts";
import type { Difference } from "./flag-set.ts";
import type { ChangeNote, FlagChange } from "./flag-source.ts";

/*
 * The history of a file of flags: one JSON object a line. An entry is written, and durable, before the file gets its
 * change; where a crash comes between the two, the entry tells of something that did not happen. Such entries are the
 * newest of their flag, and what they say comes after is not what the file says: they are left out when it is read.
 */

/** Writes the entries, durable when it returns. Half a line that a crash left is ended first. */
export async function appendHistory(
  path: string,
  note: ChangeNote,
  changes: readonly Difference[],
  at: Date,
): Promise<void> {
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
    } satisfies FlagChange),
  );
  const handle = await open(path, "a+", 0o644);
  try {
    const start = (await endsInLine(handle)) ? "" : "\n";
    await handle.appendFile(`${start}${entries.join("\n")}\n`);
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
export async function readHistory(path: string): Promise<FlagChange[]> {
  const text = await readFile(path, "utf8").catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return "";
    throw error;
  });
  return text.split("\n").flatMap((line) => {
    const entry = parsed(line);
    return entry === undefined ? [] : [entry];
  });
}

function parsed(line: string): FlagChange | undefined {
  if (line.trim() === "") return undefined;
  try {
    const value = JSON.parse(line) as FlagChange;
    return typeof value.at === "string" && typeof value.name === "string" ? value : undefined;
  } catch {
    return undefined;
  }
}

/** Without what was announced and then did not happen: each entry begins where the one before it has led. */
export function carriedOut(
  history: readonly FlagChange[],
  present: (entry: Difference) => Json | null,
): FlagChange[] {
  const kept: FlagChange[] = [];
  const next = new Map<string, Json | null>();
  for (const entry of history.toReversed()) {
    const key = `${entry.subject} ${entry.name}`;
    const follows = next.get(key);
    // By hand, between two entries, anything may have happened: only an entry that led nowhere is left out.
    const isLast = follows === undefined;
    const led = isLast ? present(entry) : follows;
    const failed = !sameJson(entry.after, led) && sameJson(entry.before, led);
    if (!failed) {
      kept.push(entry);
      next.set(key, entry.before);
    }
  }
  return kept.toReversed();
}
