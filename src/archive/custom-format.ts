import { OpsError } from "../core/errors.ts";
import { RowChecksum } from "./row-checksum.ts";

/** An entry of an archive's table of contents, as far as it matters here. */
export interface ArchiveEntry {
  readonly dumpId: number;
  readonly section: "none" | "pre-data" | "data" | "post-data";
  /** `TABLE DATA`, `INDEX`, `FK CONSTRAINT`. */
  readonly description: string;
  readonly schema: string;
  readonly tag: string;
  /** The role that owns it; empty where nobody does. */
  readonly owner: string;
  /** The SQL that makes it; empty where its rows or bytes are all there is. */
  readonly definition: string;
  /** The dump ids of what it needs; not every one of them is in the archive. */
  readonly dependencies: readonly number[];
}

const nothing = new Uint8Array(0);
const sections = ["none", "pre-data", "data", "post-data"] as const;

/** A table's rows in an archive. */
export interface ArchivedTable {
  readonly schema: string;
  readonly name: string;
  readonly rows: number;
  readonly checksum: string;
}

/**
 * Reads pg_dump's custom format (uncompressed, as it is written to a pipe) while it flows past: the table of
 * contents, and of each table the number of rows and their checksum.
 *
 * PostgreSQL's source describes the format (src/bin/pg_dump/pg_backup_archiver.c and pg_backup_custom.c); versions
 * 1.14 (PostgreSQL 13) to 1.16 (PostgreSQL 17 and later) are known. Throws `E_ARCHIVE_FORMAT` for everything else.
 */
export class ArchiveReader {
  private readonly machine = this.read();
  private current = new RowChecksum();
  private earlierRows = 0;
  private readonly found: ArchivedTable[] = [];
  private readonly contents: ArchiveEntry[] = [];
  /** What is being read, and the place in it. */
  private data: Uint8Array = nothing;
  private at = 0;
  /** Fewer bytes than are needed to go on. */
  private pending: Uint8Array[] = [];
  private pendingBytes = 0;
  private needed = 0;
  private ended = false;
  private intSize = 4;
  private started = false;
  private contentsAreRead = false;

  /** Rows seen so far, of all tables. */
  get rows(): number {
    return this.earlierRows + this.current.rows;
  }

  /** The table of contents, in the order of a restore; undefined as long as its end was not read. */
  get entries(): readonly ArchiveEntry[] | undefined {
    return this.contentsAreRead ? this.contents : undefined;
  }

  /** The next bytes of the archive. They are not looked at again after the call. */
  write(chunk: Uint8Array): void {
    let from = 0;
    // What lies across two chunks is put together by itself: joining the chunks would copy the whole archive.
    while (this.pendingBytes > 0) {
      const part = Buffer.from(chunk.subarray(from, from + this.needed - this.pendingBytes));
      from += part.length;
      this.pending.push(part);
      this.pendingBytes += part.length;
      if (this.pendingBytes < this.needed) return;
      this.data = Buffer.concat(this.pending);
      this.run();
      this.keepRest();
    }
    this.data = chunk.subarray(from);
    this.run();
    this.keepRest();
  }

  /** The end of the archive. Throws `E_ARCHIVE_FORMAT` where it is not the end of one. */
  finish(): readonly ArchivedTable[] {
    this.ended = true;
    this.run();
    return this.found;
  }

  private keepRest(): void {
    const rest = Buffer.from(this.data.subarray(this.at));
    this.pending = rest.length > 0 ? [rest] : [];
    this.pendingBytes = rest.length;
    this.data = nothing;
    this.at = 0;
  }

  private run(): void {
    if (!this.started || this.at < this.data.length || this.ended) {
      this.started = true;
      this.machine.next();
    }
  }

  /** Suspends where more bytes are needed; then the bytes not yet read are fewer than `needed`. */
  private *read(): Generator<undefined, void, undefined> {
    const header = yield* this.bytes(11);
    const version = header.readUInt8(5) * 100 + header.readUInt8(6);
    const known = header.toString("latin1", 0, 5) === "PGDMP" && version >= 114 && version <= 116;
    // The format's number: 1 is custom. The size of an integer and of an offset stand before it.
    if (!known || header[10] !== 1) throw unknownFormat("its header is not one of pg_dump's custom format");
    this.intSize = header.readUInt8(8);
    const offsetSize = header.readUInt8(9);
    if (version >= 115) yield* this.bytes(1);
    else yield* this.int();
    for (let field = 0; field < 7; field += 1) yield* this.int();
    yield* this.text();
    yield* this.text();
    const dumper = Number.parseInt((yield* this.text()) ?? "", 10);
    const count = yield* this.int();
    for (let index = 0; index < count; index += 1) yield* this.entry(version, offsetSize);
    this.contentsAreRead = true;
    yield* this.blocks(dumper <= 16);
  }

  private *entry(version: number, offsetSize: number): Generator<undefined, void, undefined> {
    const dumpId = yield* this.int();
    yield* this.int();
    yield* this.text();
    yield* this.text();
    const tag = (yield* this.text()) ?? "";
    const description = (yield* this.text()) ?? "";
    const section = sections[(yield* this.int()) - 1] ?? "none";
    const definition = (yield* this.text()) ?? "";
    for (let field = 0; field < 2; field += 1) yield* this.text();
    const schema = (yield* this.text()) ?? "";
    yield* this.text();
    yield* this.text();
    if (version >= 116) yield* this.int();
    const owner = (yield* this.text()) ?? "";
    yield* this.text();
    const dependencies: number[] = [];
    for (let each = yield* this.text(); each !== undefined; each = yield* this.text()) {
      dependencies.push(Number(each));
    }
    yield* this.bytes(1 + offsetSize);
    this.contents.push({ dumpId, section, description, schema, tag, owner, definition, dependencies });
  }

  private *blocks(chunkIsRow: boolean): Generator<undefined, void, undefined> {
    const tables = new Map(
      this.contents.filter((each) => each.description === "TABLE DATA").map((each) => [each.dumpId, each]),
    );
    while (!(yield* this.atEnd())) {
      const type = (yield* this.bytes(1)).readUInt8(0);
      const dumpId = yield* this.int();
      if (type === 3) yield* this.largeObjects();
      else if (type !== 1) throw unknownFormat(`a block has the unknown type ${type}`);
      else {
        const table = tables.get(dumpId);
        const checksum = new RowChecksum();
        this.earlierRows += this.current.rows;
        this.current = checksum;
        yield* chunkIsRow ? this.rowChunks(checksum) : this.lineChunks(checksum);
        if (table === undefined) continue;
        const { rows } = checksum;
        this.found.push({ schema: table.schema, name: table.tag, rows, checksum: checksum.text() });
      }
    }
  }

  /** pg_dump before 17 writes one row in each chunk. */
  private *rowChunks(checksum: RowChecksum): Generator<undefined, void, undefined> {
    const head = 1 + this.intSize;
    for (;;) {
      // The usual case without a generator for each row: whole chunks in what is at hand.
      const { data } = this;
      let { at } = this;
      while (at + head <= data.length) {
        const length =
          (data[at + 1] as number) |
          ((data[at + 2] as number) << 8) |
          ((data[at + 3] as number) << 16) |
          ((data[at + 4] as number) << 24);
        const end = at + head + length;
        if (length <= 0 || end > data.length) break;
        checksum.add(data, at + head, end);
        at = end;
      }
      this.at = at;
      const length = yield* this.int();
      if (length === 0) return;
      const row = yield* this.bytes(length);
      checksum.add(row, 0, row.length);
    }
  }

  /** Newer ones fill buffers: a chunk holds rows and parts of rows. */
  private *lineChunks(checksum: RowChecksum): Generator<undefined, void, undefined> {
    let row: Buffer[] = [];
    for (let length = yield* this.int(); length > 0; length = yield* this.int()) {
      const chunk = yield* this.bytes(length);
      let start = 0;
      for (let end = chunk.indexOf(10); end !== -1; end = chunk.indexOf(10, start)) {
        if (row.length === 0) checksum.add(chunk, start, end + 1);
        else addParts(checksum, [...row, chunk.subarray(0, end + 1)]);
        row = [];
        start = end + 1;
      }
      if (start < chunk.length) row.push(Buffer.from(chunk.subarray(start)));
    }
    if (row.length > 0) addParts(checksum, row);
  }

  private *largeObjects(): Generator<undefined, void, undefined> {
    for (let oid = yield* this.int(); oid !== 0; oid = yield* this.int()) {
      for (let length = yield* this.int(); length > 0; length = yield* this.int()) yield* this.bytes(length);
    }
  }

  private *atEnd(): Generator<undefined, boolean, undefined> {
    while (this.at >= this.data.length && !this.ended) yield;
    return this.at >= this.data.length;
  }

  private *int(): Generator<undefined, number, undefined> {
    const field = yield* this.bytes(1 + this.intSize);
    const value = field.readUIntLE(1, this.intSize);
    return field[0] === 0 ? value : -value;
  }

  /** Undefined for SQL's NULL. */
  private *text(): Generator<undefined, string | undefined, undefined> {
    const length = yield* this.int();
    return length < 0 ? undefined : (yield* this.bytes(length)).toString("utf8");
  }

  private *bytes(count: number): Generator<undefined, Buffer, undefined> {
    while (this.data.length - this.at < count) {
      if (this.ended) throw unknownFormat("it ends too early");
      this.needed = count;
      yield;
    }
    const taken = this.data.subarray(this.at, this.at + count);
    this.at += count;
    return Buffer.from(taken.buffer, taken.byteOffset, taken.byteLength);
  }
}

function addParts(checksum: RowChecksum, parts: readonly Buffer[]): void {
  const row = Buffer.concat(parts);
  checksum.add(row, 0, row.length);
}

function unknownFormat(why: string): OpsError {
  return new OpsError("E_ARCHIVE_FORMAT", `What pg_dump wrote is not an archive that ops knows: ${why}`, {
    hint: "look at the PostgreSQL programs with: ops doctor",
    retryable: false,
  });
}
