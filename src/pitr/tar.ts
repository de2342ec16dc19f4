/** A member of a tar. */
export interface TarEntry {
  readonly kind: "file" | "folder" | "link";
  /** As bytes: file systems know no encoding. Relative, without `..` and without a `/` at the end. */
  readonly path: Buffer;
  /** The permissions: `0o600`. */
  readonly mode: number;
  /** A file's bytes, in pieces. What is left of them when the next entry is asked for is passed over. */
  readonly content: AsyncIterable<Buffer>;
}

const blockSize = 512;
const kinds: Readonly<Record<string, TarEntry["kind"]>> = {
  "0": "file",
  "\0": "file",
  "5": "folder",
  "2": "link",
};

/**
 * Reads a tar (POSIX.1-1988 `ustar`, with GNU's base-256 sizes of files from 8 GiB on) as PostgreSQL's server writes it
 * (src/port/tar.c): files, folders and links with short names. Pieces of files are parts of the source's buffers, not
 * copies. Throws `TarError` for anything else, and where it ends too early.
 */
export async function* readTar(source: AsyncIterable<Uint8Array>): AsyncGenerator<TarEntry> {
  const input = new BlockInput(source);
  try {
    for (;;) {
      const header = await input.take(blockSize);
      // Two empty blocks end it; some writers leave them out. The source may have something to say at its own end.
      if (header === undefined || byteSum(header, 0, blockSize) === 0) return await input.drain();
      const { size, ...entry } = parseHeader(header);
      let left = size;
      async function* content(): AsyncGenerator<Buffer> {
        while (left > 0) {
          const piece = await input.piece(left);
          left -= piece.length;
          yield piece;
        }
      }
      yield { ...entry, content: content() };
      await input.skip(left + padding(size));
    }
  } finally {
    await input.close();
  }
}

/** What is read is no tar, or not all of one. */
export class TarError extends Error {}

function parseHeader(header: Buffer): Pick<TarEntry, "kind" | "path" | "mode"> & { size: number } {
  // The checksum itself counts as eight spaces.
  const sum = byteSum(header, 0, 148) + 8 * 0x20 + byteSum(header, 156, blockSize);
  if (sum !== number(header, 148, 8)) throw new TarError("a header is damaged");
  const type = header.toString("latin1", 156, 157);
  const kind = kinds[type];
  if (kind === undefined) throw new TarError(`it has a member of the unknown type ${JSON.stringify(type)}`);
  const size = kind === "file" ? number(header, 124, 12) : 0;
  return { kind, path: safePath(text(header, 0, 100)), mode: number(header, 100, 8) & 0o7777, size };
}

function byteSum(bytes: Buffer, start: number, end: number): number {
  let sum = 0;
  for (let index = start; index < end; index += 1) sum += bytes[index] ?? 0;
  return sum;
}

function text(header: Buffer, start: number, length: number): Buffer {
  const field = header.subarray(start, start + length);
  const end = field.indexOf(0);
  return Buffer.from(end === -1 ? field : field.subarray(0, end));
}

function number(header: Buffer, start: number, length: number): number {
  // GNU: the first bit tells that the rest is the number itself.
  if (((header[start] ?? 0) & 0x80) !== 0) return Number(header.readBigUInt64BE(start + length - 8));
  const digits = header.toString("latin1", start, start + length).replace(/[\0 ]+$/, "");
  if (!/^ *[0-7]+$/.test(digits)) throw new TarError("a header has no number where one must be");
  return Number.parseInt(digits, 8);
}

/** Nothing may leave the folder it is unpacked to. */
function safePath(path: Buffer): Buffer {
  // One character for each byte.
  const parts = path.toString("latin1").split("/");
  if (parts[0] === "" || parts.includes("..")) throw new TarError(`it has a member ${path}`);
  return Buffer.from(parts.filter((each) => each !== "" && each !== ".").join("/"), "latin1");
}

function padding(size: number): number {
  return (blockSize - (size % blockSize)) % blockSize;
}

class BlockInput {
  private readonly source: AsyncIterator<Uint8Array>;
  private buffer: Buffer = Buffer.alloc(0);

  constructor(source: AsyncIterable<Uint8Array>) {
    this.source = source[Symbol.asyncIterator]();
  }

  /** The next bytes, at most so many and at least one. Throws `TarError` at the end. */
  async piece(most: number): Promise<Buffer> {
    if (this.buffer.length === 0 && !(await this.more())) throw new TarError("it ends too early");
    const piece = this.buffer.subarray(0, most);
    this.buffer = this.buffer.subarray(piece.length);
    return piece;
  }

  /** Exactly so many bytes; undefined at the end. */
  async take(size: number): Promise<Buffer | undefined> {
    if (this.buffer.length === 0 && !(await this.more())) return undefined;
    const first = await this.piece(size);
    if (first.length === size) return first;
    // Its memory may be gone once the next buffer is asked for.
    const parts = [Buffer.from(first)];
    for (let left = size - first.length; left > 0; ) {
      const piece = await this.piece(left);
      left -= piece.length;
      parts.push(Buffer.from(piece));
    }
    return Buffer.concat(parts);
  }

  async skip(size: number): Promise<void> {
    for (let left = size; left > 0; ) left -= (await this.piece(left)).length;
  }

  /** Reads the source to its end. */
  async drain(): Promise<void> {
    this.buffer = Buffer.alloc(0);
    while (await this.more());
  }

  /** Gives the source up, wherever it is. */
  async close(): Promise<void> {
    await this.source.return?.();
  }

  private async more(): Promise<boolean> {
    for (;;) {
      const { done, value } = await this.source.next();
      if (done === true) return false;
      if (value.length === 0) continue;
      this.buffer = Buffer.from(value.buffer, value.byteOffset, value.byteLength);
      return true;
    }
  }
}
