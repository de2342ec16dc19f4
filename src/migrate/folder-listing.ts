import { readdirSync, readFileSync } from "node:fs";
import { join, sep } from "node:path";
import { UsageError } from "../core/errors.ts";
import { withoutLineEnds, withPlainLineEnds } from "./line-ends.ts";

/**
 * A folder of migrations as it lies on the disk. Read synchronously: for a thousand small files that is several times
 * faster than a thousand promises, and nothing else waits.
 */
export interface FolderListing {
  readonly directory: string;
  /** Names of the files in it, sorted; hidden ones left out. */
  readonly files: readonly string[];
  readonly subfolders: readonly string[];
  /** Paths of all files below a subfolder, relative to it: `a.sql`, `more/b.sql`. */
  within(subfolder: string): readonly string[];
  /**
   * With `\n` at the ends of lines; in SQL strings are left as they are. Undefined where the bytes are no text that
   * PostgreSQL can read.
   */
  text(name: string): string | undefined;
}

/** Throws `E_MIGRATION_FOLDER`. */
export function listFolder(directory: string): FolderListing {
  const entries = readEntries(directory);
  const names = (isFolder: boolean) =>
    entries.filter((each) => each.isDirectory() === isFolder).map((each) => each.name);
  const texts = new Map<string, string | undefined>();
  const below = new Map<string, readonly string[]>();
  return {
    directory,
    files: names(false),
    subfolders: names(true),
    within: (subfolder) => {
      const known = below.get(subfolder) ?? filesBelow(join(directory, subfolder));
      below.set(subfolder, known);
      return known;
    },
    text: (name) => {
      if (!texts.has(name)) texts.set(name, readText(`${directory}${sep}${name}`));
      return texts.get(name);
    },
  };
}

function readEntries(directory: string) {
  try {
    return readdirSync(directory, { withFileTypes: true })
      .filter((each) => !each.name.startsWith("."))
      .sort((a, b) => (a.name < b.name ? -1 : 1));
  } catch (cause) {
    throw new UsageError("E_MIGRATION_FOLDER", `The migrations folder ${directory} cannot be read`, {
      cause,
      hint: 'make the folder, or set "migrations" of the database in .opsrc',
    });
  }
}

function filesBelow(directory: string): string[] {
  return readEntries(directory).flatMap((entry) =>
    entry.isDirectory()
      ? filesBelow(join(directory, entry.name)).map((each) => `${entry.name}/${each}`)
      : [entry.name],
  );
}

const utf8 = new TextDecoder("utf-8", { fatal: true });
const byteOrderMark = "\uFEFF";
/** What stands for bytes that are no UTF-8, where they are read leniently. */
const replacement = "\uFFFD";

/** Undefined where a NUL would silently end the text, or it is not UTF-8. */
function readText(path: string): string | undefined {
  // Read and decoded in one call, which is twice as fast as in two; who finds a replacement looks at the bytes.
  const lenient = readFileSync(path, "utf8");
  const text = lenient.includes(replacement) ? decode(readFileSync(path)) : lenient;
  if (text === undefined || text.includes("\0")) return undefined;
  const unmarked = text.startsWith(byteOrderMark) ? text.slice(1) : text;
  return path.endsWith(".sql") ? withPlainLineEnds(unmarked) : withoutLineEnds(unmarked);
}

function decode(bytes: Uint8Array): string | undefined {
  try {
    return utf8.decode(bytes);
  } catch (error) {
    if (error instanceof TypeError) return undefined;
    throw error;
  }
}
