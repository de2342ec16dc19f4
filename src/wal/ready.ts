import { open, readdir, readFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { OpsError, UsageError } from "../core/errors.ts";
import { parseWalFile } from "../wal-archive/segment.ts";
import { headerBytes, readSegmentHeader, type SegmentHeader } from "../wal-archive/segment-header.ts";

/** The server's own limit for how many finished files it looks up at once is 64 (pgarch.c). */
const mostAhead = 64;

/** The files of pg_wal that wait to be archived, beside `path`: those of new timelines first, then the oldest. */
export async function readyBeside(path: string): Promise<string[]> {
  const names = await readdir(join(dirname(path), "archive_status")).catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return [];
    throw error;
  });
  const rank = (name: string) => (parseWalFile(name)?.kind === "history" ? 0 : 1);
  return names
    .filter((each) => each.endsWith(".ready"))
    .map((each) => each.slice(0, -".ready".length))
    .filter((each) => parseWalFile(each) !== undefined && each !== basename(path))
    .sort((one, other) => rank(one) - rank(other) || (one < other ? -1 : 1))
    .slice(0, mostAhead - 1)
    .map((each) => join(dirname(path), each));
}

/** Whose the file is: by its own first page, or, of a file that is no segment, by a segment beside it. */
export async function headerFor(path: string): Promise<SegmentHeader> {
  if (hasHeader(basename(path))) return readSegmentHeader(basename(path), await beginning(path));
  const beside = (await readdir(dirname(path))).filter((each) => parseWalFile(each)?.kind === "segment");
  for (const each of beside.sort()) {
    try {
      return readSegmentHeader(each, await beginning(join(dirname(path), each)));
    } catch (error) {
      // One that the server keeps for later use still holds what it was before; the next one may do.
      if (!(error instanceof OpsError) || error.code !== "E_WAL_SEGMENT") throw error;
    }
  }
  throw new UsageError("E_WAL_SEGMENT", `There is no segment beside ${path} that says whose it is`, {
    hint: "give the command what PostgreSQL gives it: archive_command = 'ops wal push %p'",
  });
}

/** Throws `E_WAL_SEGMENT` where the file is in no data folder. */
export async function serverMajor(path: string): Promise<number> {
  const file = join(dirname(path), "..", "PG_VERSION");
  const text = await readFile(file, "utf8").catch((error: NodeJS.ErrnoException) => {
    throw new UsageError("E_WAL_SEGMENT", `${path} is not in the pg_wal of a data folder`, {
      cause: error,
      hint: "give the command what PostgreSQL gives it: archive_command = 'ops wal push %p'",
    });
  });
  return Number.parseInt(text, 10);
}

/** Whether files of this name begin with the page that names the cluster. */
export function hasHeader(name: string): boolean {
  const kind = parseWalFile(name)?.kind;
  return kind === "segment" || kind === "partial";
}

async function beginning(path: string): Promise<Buffer> {
  const file = await open(path, "r").catch((error: NodeJS.ErrnoException) => {
    throw new UsageError("E_WAL_SEGMENT", `${path} cannot be read`, {
      cause: error,
      hint: "run it in the data folder, as the server's user; PostgreSQL gives the path as %p",
    });
  });
  try {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(headerBytes), 0, headerBytes, 0);
    return buffer.subarray(0, bytesRead);
  } finally {
    await file.close();
  }
}
