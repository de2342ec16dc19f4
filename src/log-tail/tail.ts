import { constants } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { StringDecoder } from "node:string_decoder";
import type { Clock } from "../core/clock.ts";
import { UsageError } from "../core/errors.ts";

/** Milliseconds for which a file that was moved away is still read: a server's workers open the new one one by one. */
const lateLines = 5000;
/** Characters of a line; a longer one is no line of a log and is left out. */
const longestLine = 65_536;

/** What is at the path now. */
export type TailState = "waiting" | "reading" | "gone";

/**
 * The lines that are written to a file from now on, like `tail -F`: it may not be there yet (then it is read from its
 * beginning once it is), be moved away with another one in its place (both are read to their ends), or be emptied
 * (copytruncate; what was written between the last look and that is lost). A line counts once its line end is there.
 */
export class LogTail {
  readonly path: string;
  private readonly clock: Clock;
  private current: OpenFile | undefined;
  private moved: { readonly file: OpenFile; readonly until: number }[] = [];
  private begun = false;

  constructor(path: string, clock: Clock) {
    this.path = path;
    this.clock = clock;
  }

  /** `gone`: there was a file and there is none now. */
  get state(): TailState {
    if (this.current !== undefined) return "reading";
    return this.moved.length > 0 || this.begun ? "gone" : "waiting";
  }

  /** Finds where the file ends now. Throws `E_LOG_FILE` (usage) where it can be no log or may not be read. */
  async begin(): Promise<void> {
    const file = await openFile(this.path);
    if (file === undefined) return;
    file.position = (await file.handle.stat()).size;
    this.current = file;
    this.begun = true;
  }

  /** The lines since the last call. */
  async take(): Promise<string[]> {
    const lines: string[] = [];
    await this.notice();
    for (const { file } of this.moved) lines.push(...(await newLines(file)));
    if (this.current !== undefined) lines.push(...(await newLines(this.current)));
    const now = this.clock.elapsed();
    for (const { file, until } of this.moved) if (until <= now) await file.handle.close();
    this.moved = this.moved.filter(({ until }) => until > now);
    return lines;
  }

  async close(): Promise<void> {
    const all = [
      ...this.moved.map(({ file }) => file),
      ...(this.current === undefined ? [] : [this.current]),
    ];
    this.moved = [];
    this.current = undefined;
    for (const { handle } of all) await handle.close();
  }

  /** Whether the path names another file than before. */
  private async notice(): Promise<void> {
    const found = await openFile(this.path);
    const { current } = this;
    if (current !== undefined && found !== undefined && current.identity === found.identity) {
      await found.handle.close();
      return;
    }
    const back = this.moved.find(({ file }) => file.identity === found?.identity);
    if (back !== undefined) {
      // Put back where it was: what of it was read is read.
      await found?.handle.close();
      this.moved = this.moved.filter((each) => each !== back);
    }
    if (current !== undefined) this.moved.push({ file: current, until: this.clock.elapsed() + lateLines });
    this.current = back?.file ?? found;
    this.begun ||= found !== undefined;
  }
}

interface OpenFile {
  readonly handle: FileHandle;
  /** Device and inode. */
  readonly identity: string;
  position: number;
  decoder: StringDecoder;
  /** Of a line whose end is not written yet. */
  rest: string;
}

/** Undefined where there is none. */
async function openFile(path: string): Promise<OpenFile | undefined> {
  let handle: FileHandle;
  try {
    // A pipe that nobody writes to must not keep us waiting.
    handle = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return undefined;
    throw unreadable(path, error);
  }
  const stat = await handle.stat({ bigint: true });
  if (!stat.isFile()) {
    await handle.close();
    throw unreadable(path, new Error("it is no file"));
  }
  const identity = `${stat.dev}:${stat.ino}`;
  return { handle, identity, position: 0, decoder: new StringDecoder("utf8"), rest: "" };
}

const chunkSize = 262_144;

async function newLines(file: OpenFile): Promise<string[]> {
  const { size } = await file.handle.stat();
  if (size < file.position)
    Object.assign(file, { position: 0, rest: "", decoder: new StringDecoder("utf8") });
  const lines: string[] = [];
  const buffer = Buffer.allocUnsafe(chunkSize);
  for (;;) {
    const { bytesRead } = await file.handle.read(buffer, 0, chunkSize, file.position);
    if (bytesRead === 0) return lines.filter((line) => line !== "" && line.length <= longestLine);
    file.position += bytesRead;
    const parts = `${file.rest}${file.decoder.write(buffer.subarray(0, bytesRead))}`.split("\n");
    // Of a line without end only so much is kept that it is known for one.
    file.rest = (parts.pop() ?? "").slice(0, longestLine + 1);
    for (const part of parts) lines.push(part);
  }
}

function unreadable(path: string, cause: unknown): UsageError {
  return new UsageError("E_LOG_FILE", `The log ${path} cannot be read`, {
    cause,
    hint: "run as a user who may read it (group adm on Debian), or correct the file in .opsrc",
  });
}
