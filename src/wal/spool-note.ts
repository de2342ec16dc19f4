import { createHash } from "node:crypto";
import { statSync } from "node:fs";
import { bootId } from "../process/boot-id.ts";

/**
 * A note in the spool names the call that what lies there is for: the file that it is about, the configuration as it was
 * read, the command line, and the variables that ops reads. What was done for one call never counts for another, and
 * nothing counts once the machine has started anew: what lies there need not be synced. It is a row of lines, because the
 * launcher (bin/ops) reads it too, as a shell; one that a crash left half-written is none.
 */
export interface SpoolNote {
  readonly configuration: Configuration;
  /** `fileIdentity` of the file that it is about, from before it was read. */
  readonly file?: string;
  /** As `callOf` tells it. */
  readonly call: readonly string[];
}

export interface Configuration {
  /** Absolute. */
  readonly path: string;
  /** `fileIdentity`. */
  readonly identity: string;
}

/**
 * What a call depends on beside its file: its other arguments, and the variables that ops reads.
 *
 * @param args from the `wal` on
 * @param own what is of its file alone
 */
export function callOf(args: readonly string[], ...own: readonly string[]): string[] {
  const { OPS_CONFIG = "", OPS_ENV = "", OPS_DATABASE_URL = "" } = process.env;
  const url = OPS_DATABASE_URL === "" ? "" : createHash("sha256").update(OPS_DATABASE_URL).digest("hex");
  return [...args.slice(2).filter((each) => !own.includes(each)), OPS_CONFIG, OPS_ENV, url];
}

/** Undefined where a line would not be one line: nothing is noted then. */
export function noteText({ configuration, file = "-", call }: SpoolNote): string | undefined {
  const lines = [
    "ops spool 1",
    bootId() ?? "-",
    configuration.path,
    configuration.identity,
    file,
    ...call,
    "end",
  ];
  return lines.some((each) => each.includes("\n")) ? undefined : `${lines.join("\n")}\n`;
}

/**
 * Whether a note is for this file and call, and the configuration is still what it was.
 *
 * @param text of the note
 */
export function isNoteFor(text: string, file: string | undefined, call: readonly string[]): boolean {
  const path = text.split("\n")[2] ?? "";
  return text === noteText({ configuration: configurationAt(path), call, ...(file && { file }) });
}

export function configurationAt(path: string): Configuration {
  return { path, identity: fileIdentity(path) };
}

/** Changes whenever the file is written, replaced or copied: as `stat -L -c "%d %i %s %.9Y"` prints it. */
export function fileIdentity(path: string): string {
  const { dev, ino, size, mtimeNs } = statSync(path, { bigint: true });
  const second = 10n ** 9n;
  return `${dev} ${ino} ${size} ${mtimeNs / second}.${String(mtimeNs % second).padStart(9, "0")}`;
}
