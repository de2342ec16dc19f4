import { readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { makeFolders, type Spool, spoolOf } from "./spool.ts";
import { fileIdentity, isNoteFor, noteText, type SpoolNote } from "./spool-note.ts";

/**
 * Marks a file as durable in every store: the call that the server makes for it later has nothing left to do. Call it only
 * when it is. The note names the very file: a copy of the data folder has others.
 */
export function markDone(spool: Spool, name: string, note: SpoolNote & { readonly file: string }): void {
  const text = noteText(note);
  if (text === undefined) return;
  makeFolders(dirname(spool.done), spool.done);
  const path = join(spool.done, name);
  writeFileSync(`${path}.${process.pid}`, text, { mode: 0o600 });
  renameSync(`${path}.${process.pid}`, path);
}

/**
 * Whether the server's call for this file has nothing to do. Never throws: where it cannot be told, the answer is no.
 *
 * @param call as `callOf` tells it
 */
export function isDone(path: string, call: readonly string[]): boolean {
  const spool = spoolOf(path);
  if (spool === undefined) return false;
  try {
    return isNoteFor(readFileSync(join(spool.done, basename(path)), "utf8"), fileIdentity(path), call);
  } catch {
    // No mark, half a mark, or one of another version: the long way finds out.
    return false;
  }
}

/** The server has been told; the mark has served. */
export function forget(path: string): void {
  const spool = spoolOf(path);
  if (spool !== undefined) rmSync(join(spool.done, basename(path)), { force: true });
}
